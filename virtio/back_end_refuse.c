// SPDX-License-Identifier: GPL-2.0-only
/* What a device says in place of a back end that has been gone for too long: its requests fail, none of them waits. */
#include <errno.h>
#include <linux/fuse.h>
#include <linux/virtio_blk.h>
#include "back_end.h"
#include "iov.h"

/* Its last byte is the status (virtio 1.2, 5.2.6). */
static uint32_t refuse_blk(const struct virtq_chain *chain)
{
	const uint8_t status = VIRTIO_BLK_S_IOERR;

	if (!chain->in)
		return 0;
	iov_write(chain->iov + chain->out, chain->in, chain->in_bytes - 1, &status, 1);
	return chain->in_bytes == 1;
}

/* What FUSE says where nobody serves a file system (virtio 1.2, 5.11.6). FUSE_FORGET wants no answer. */
static uint32_t refuse_fs(const struct virtq_chain *chain)
{
	struct fuse_in_header asked = { 0 };
	struct fuse_out_header answer = { .len = sizeof(answer), .error = -ENOTCONN };

	iov_read(chain->iov, chain->out, 0, &asked, sizeof(asked));
	answer.unique = asked.unique;
	return (uint32_t)iov_write(chain->iov + chain->out, chain->in, 0, &answer, sizeof(answer));
}

void back_end_refuse_requests(struct virtio_device *vdev, struct virtq *vq)
{
	struct virtq_chain chain;
	unsigned left = vq->size;

	for (; left && virtq_pop(vq, &chain) > 0; left--)
		virtq_push(vq, &chain,
			   vdev->class->id == VIRTIO_ID_FS ? refuse_fs(&chain)
							   : refuse_blk(&chain));
	if (!left)
		virtio_kick(vdev, vq->index);
	virtio_notify(vdev, vq);
}
