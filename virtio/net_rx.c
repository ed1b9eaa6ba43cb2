// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>
#include "net.h"

void net_rx_reset(struct net_rx *rx)
{
	rx->piece = rx->piece_end = rx->chain = rx->chain_end = 0;
	rx->bytes = rx->packet = rx->spilled = 0;
	rx->burst = 1;
}

static unsigned chains_in_hand(const struct net_rx *rx)
{
	return rx->chain_end - rx->chain;
}

static unsigned pieces_in_hand(const struct net_rx *rx)
{
	return rx->piece_end - rx->piece;
}

/* The longest chain fits; what is in hand moves to the front where it does not behind it. */
static bool make_room(struct net_rx *rx)
{
	unsigned pieces = pieces_in_hand(rx), chains = chains_in_hand(rx);

	if (pieces + VIRTQ_SIZE_MAX > NET_RX_PIECES || chains == VIRTQ_SIZE_MAX)
		return false;
	if (rx->piece_end + VIRTQ_SIZE_MAX <= NET_RX_PIECES && rx->chain_end < VIRTQ_SIZE_MAX)
		return true;
	memmove(rx->iov, rx->iov + rx->piece, pieces * sizeof(rx->iov[0]));
	memmove(rx->chains, rx->chains + rx->chain, chains * sizeof(rx->chains[0]));
	rx->piece = rx->chain = 0;
	rx->piece_end = pieces;
	rx->chain_end = chains;
	return true;
}

/* One chain in hand, or one of no size given back. */
static bool take_chain(struct net_rx *rx)
{
	struct virtq_chain *chain = &rx->popped;

	if (!make_room(rx) || !virtq_has_chain(rx->vq) || virtq_pop(rx->vq, chain) <= 0)
		return false;
	if (!chain->in) {
		virtq_push(rx->vq, chain, 0);
		return true;
	}
	memcpy(rx->iov + rx->piece_end, chain->iov + chain->out, chain->in * sizeof(rx->iov[0]));
	rx->piece_end += chain->in;
	rx->chains[rx->chain_end++] = (struct net_rx_chain){
		.id = chain->id,
		.slots = chain->slots,
		.pieces = chain->in,
		.bytes = chain->in_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)chain->in_bytes,
	};
	rx->bytes += rx->chains[rx->chain_end - 1].bytes;
	return true;
}

/* Each packet of a burst begins with a chain of its own, so that part of the one before it is for nothing. */
static bool wants_more(const struct net_rx *rx)
{
	size_t packet = NET_PACKET_MAX;

	if (!chains_in_hand(rx) || !rx->net->mergeable)
		return !chains_in_hand(rx);
	if (rx->burst > 1)
		packet += rx->chains[rx->chain].bytes;
	return rx->bytes < rx->burst * packet;
}

/*
 * (virtio 1.2, 5.1.6.4) All buffers of a packet are shown at once, when the header says how many they are. `used` begins
 * at the packet's first chain, and then tells how much of them it took.
 */
static void complete(struct net_rx *rx, struct net_rx_slice *used, size_t n)
{
	size_t left = n;
	uint16_t buffers;

	used->chains = used->pieces = 0;
	while (left > 0) {
		const struct net_rx_chain *chain = &rx->chains[used->chain + used->chains];
		uint32_t take = left < chain->bytes ? (uint32_t)left : chain->bytes;

		rx->popped.id = chain->id;
		rx->popped.slots = chain->slots;
		virtq_fill(rx->vq, &rx->popped, take, used->chains++);
		used->pieces += chain->pieces;
		rx->bytes -= chain->bytes;
		left -= take;
	}
	buffers = (uint16_t)used->chains;
	if (rx->net->header == sizeof(struct virtio_net_hdr_mrg_rxbuf))
		iov_write(rx->iov + used->piece, used->pieces,
			  offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers), &buffers,
			  sizeof(buffers));
	virtq_publish(rx->vq, used->chains);
}

static void complete_first(struct net_rx *rx, size_t n)
{
	struct net_rx_slice used = { .chain = rx->chain, .piece = rx->piece };

	complete(rx, &used, n);
	rx->chain += used.chains;
	rx->piece += used.pieces;
}

/* Whether the packet that waits is out of the way: delivered, or longer than all the driver will ever offer. */
static bool finish(struct net_rx *rx)
{
	size_t packet = rx->packet;

	if (packet > rx->bytes && chains_in_hand(rx) < rx->vq->size && make_room(rx))
		return false;
	rx->packet = 0;
	if (packet > rx->bytes)
		return true;
	iov_write(rx->iov + rx->piece, pieces_in_hand(rx), packet - rx->spilled, rx->spill,
		  rx->spilled);
	complete_first(rx, packet);
	return true;
}

/* No more chains a call than the queue has, or a driver could keep us here with empty ones. */
bool net_rx_gather(struct net_rx *rx)
{
	unsigned left = rx->vq->size;

	virtq_spare_kicks(rx->vq);
	for (;;) {
		while (left > 0 && wants_more(rx) && take_chain(rx))
			left--;
		if (rx->packet && finish(rx))
			continue;
		if (!rx->packet && chains_in_hand(rx))
			return true;
		if (!virtq_want_kicks(rx->vq) || !left)
			return false;
		virtq_spare_kicks(rx->vq);
	}
}

struct iovec *net_rx_pieces(struct net_rx *rx, int *count)
{
	rx->iov[rx->piece_end] = (struct iovec){ rx->spill, NET_PACKET_MAX };
	*count = (int)pieces_in_hand(rx) + 1;
	return rx->iov + rx->piece;
}

void net_rx_deliver(struct net_rx *rx, size_t n)
{
	if (n <= rx->net->header || n > NET_PACKET_MAX)
		return;
	if (n <= rx->bytes) {
		complete_first(rx, n);
	} else if (rx->net->mergeable) {
		rx->packet = n;
		rx->spilled = n - rx->bytes;
	}
}

unsigned net_rx_slice(const struct net_rx *rx, struct net_rx_slice *slices, unsigned max)
{
	struct net_rx_slice at = { .chain = rx->chain, .piece = rx->piece };
	unsigned count = 0;
	size_t bytes = 0;

	for (unsigned i = rx->chain; rx->net->mergeable && i < rx->chain_end && count < max; i++) {
		at.chains++;
		at.pieces += rx->chains[i].pieces;
		bytes += rx->chains[i].bytes;
		if (bytes < NET_PACKET_MAX)
			continue;
		slices[count++] = at;
		at.chain += at.chains;
		at.piece += at.pieces;
		at.chains = at.pieces = 0;
		bytes = 0;
	}
	return count;
}

/* What no packet has taken moves together, to the end of what is in hand. */
void net_rx_deliver_slices(struct net_rx *rx, const struct net_rx_slice *slices,
			   const ssize_t *lengths, unsigned count)
{
	struct net_rx_slice used[TAP_BATCH];
	unsigned chain, piece;

	for (unsigned i = 0; i < count; i++) {
		used[i] =
			(struct net_rx_slice){ .chain = slices[i].chain, .piece = slices[i].piece };
		if (lengths[i] > (ssize_t)rx->net->header && lengths[i] <= NET_PACKET_MAX)
			complete(rx, &used[i], (size_t)lengths[i]);
	}
	chain = slices[count - 1].chain + slices[count - 1].chains;
	piece = slices[count - 1].piece + slices[count - 1].pieces;
	for (unsigned i = count; i-- > 0;) {
		unsigned chains = slices[i].chains - used[i].chains;
		unsigned pieces = slices[i].pieces - used[i].pieces;

		chain -= chains;
		piece -= pieces;
		memmove(rx->chains + chain, rx->chains + used[i].chain + used[i].chains,
			chains * sizeof(rx->chains[0]));
		memmove(rx->iov + piece, rx->iov + used[i].piece + used[i].pieces,
			pieces * sizeof(rx->iov[0]));
	}
	rx->chain = chain;
	rx->piece = piece;
}

bool net_rx_put(struct net_rx *rx, const void *packet, size_t size)
{
	const struct virtio_net_hdr_mrg_rxbuf header = { 0 };
	struct iovec *iov;
	int count;

	if (!net_rx_gather(rx))
		return false;
	iov = net_rx_pieces(rx, &count);
	iov_write(iov, (unsigned)count, 0, &header, rx->net->header);
	net_rx_deliver(rx, rx->net->header +
				   iov_write(iov, (unsigned)count, rx->net->header, packet, size));
	return true;
}
