// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include "bdf.h"

#define DOMAIN_MAX 0xfffffff /* seven digits: what VFIO_BDF_SIZE has room for */

/* A number of at most seven digits, without sign or prefix. */
static bool parse_number(const char **text, int base, uint32_t *value)
{
	const char *p = *text;
	char digits[8];
	size_t len = 0;

	while (base == 16 ? isxdigit((unsigned char)p[len]) : isdigit((unsigned char)p[len]))
		if (++len >= sizeof(digits))
			return false;
	if (!len)
		return false;
	memcpy(digits, p, len);
	digits[len] = 0;
	*value = (uint32_t)strtoul(digits, NULL, base);
	*text = p + len;
	return true;
}

/* One or two numbers before a colon each, then DEV.FN. */
static const char *parse_parts(const char **text, uint32_t part[4])
{
	const char *p = *text;
	const char *form = "it is [DOMAIN:]BUS:DEV.FN, all hexadecimal";

	part[0] = 0;
	if (!parse_number(&p, 16, &part[1]) || *p++ != ':' || !parse_number(&p, 16, &part[2]))
		return form;
	if (*p == ':') {
		part[0] = part[1];
		part[1] = part[2];
		p++;
		if (!parse_number(&p, 16, &part[2]))
			return form;
	}
	if (*p++ != '.' || !parse_number(&p, 16, &part[3]))
		return form;
	*text = p;
	return NULL;
}

int bdf_parse(struct bdf *bdf, const char *text, char stop, const char **end, const char **why)
{
	uint32_t part[4];

	*end = text;
	*why = parse_parts(end, part);
	if (!*why && **end && **end != stop)
		*why = "it is followed by something else";
	if (!*why && part[0] > DOMAIN_MAX)
		*why = "its domain is above fffffff";
	if (!*why && part[1] > 0xff)
		*why = "its bus is above ff";
	if (!*why && part[2] > 0x1f)
		*why = "its device is above 1f";
	if (!*why && part[3] > 7)
		*why = "its function is above 7";
	if (*why)
		return -EINVAL;
	*bdf = (struct bdf){ part[0], (uint8_t)part[1], (uint8_t)part[2], (uint8_t)part[3] };
	return 0;
}

void bdf_format(char buf[VFIO_BDF_SIZE], const struct bdf *bdf)
{
	snprintf(buf, VFIO_BDF_SIZE, "%04x:%02x:%02x.%x", bdf->domain & DOMAIN_MAX, bdf->bus,
		 bdf->slot & 0x1f, bdf->fn & 7);
}

int bdf_canonical(char buf[VFIO_BDF_SIZE], const char *text)
{
	const char *end, *why;
	struct bdf bdf;

	if (bdf_parse(&bdf, text, 0, &end, &why) < 0)
		return refuse(-EINVAL, "%s is no PCI address: %s", text, why);
	bdf_format(buf, &bdf);
	return 0;
}

/* Decimal, or hexadecimal with 0x. */
static bool parse_slot(const char **text, uint32_t *value)
{
	if ((*text)[0] == '0' && ((*text)[1] == 'x' || (*text)[1] == 'X')) {
		*text += 2;
		return parse_number(text, 16, value);
	}
	return parse_number(text, 10, value);
}

/* SLOT[.FN] of guest=. */
static const char *parse_guest(const char *text, int *devfn)
{
	uint32_t slot, fn = 0;

	if (!parse_slot(&text, &slot))
		return "guest= takes SLOT[.FN]";
	if (*text == '.') {
		text++;
		if (!parse_number(&text, 10, &fn))
			return "guest= takes SLOT[.FN]";
	}
	if (*text)
		return "guest= takes SLOT[.FN], and nothing follows it";
	if (slot > 31)
		return "the guest's bus has slots 0 to 31";
	if (fn > 7)
		return "a slot has functions 0 to 7";
	*devfn = PCI_DEVFN_OF((int)slot, (int)fn);
	return NULL;
}

int vfio_doorbell_parse(struct vfio_doorbell_choice *choice, const char *text)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	char *end;

	if (!strcmp(text, "auto") || !strcmp(text, "kernel")) {
		*choice = (struct vfio_doorbell_choice){ .mode = *text == 'a'
									 ? VFIO_DOORBELL_AUTO
									 : VFIO_DOORBELL_KERNEL };
		return 0;
	}
	if (!(hex ? isxdigit((unsigned char)*digits) : isdigit((unsigned char)*digits)))
		return -EINVAL;
	errno = 0;
	choice->mode = VFIO_DOORBELL_GIVEN;
	choice->iova = strtoull(digits, &end, hex ? 16 : 10);
	return *end || errno || !choice->iova ? -EINVAL : 0;
}

/* One of the parts that follow the BDF. */
static const char *parse_part(struct vfio_device_config *config, const char *part)
{
	if (!strncmp(part, "guest=", 6))
		return parse_guest(part + 6, &config->guest_devfn);
	if (strncmp(part, "doorbell=", 9) != 0)
		return "only guest=SLOT[.FN] and doorbell=auto|kernel|IOVA may follow";
	if (vfio_doorbell_parse(&config->doorbell, part + 9) < 0)
		return "doorbell= takes auto, kernel, or an address that is not 0";
	return NULL;
}

/* Parts are short: what does not fit is none. */
static const char *parse_rest(struct vfio_device_config *config, const char *rest)
{
	const char *why = NULL;
	char part[40];

	while (*rest == ',' && !why) {
		size_t len = strcspn(++rest, ",");

		snprintf(part, sizeof(part), "%.*s", (int)len, rest);
		why = parse_part(config, part);
		rest += len;
	}
	return why;
}

int vfio_device_config_parse(struct vfio_device_config *config, const char *text)
{
	const char *rest, *why;
	struct bdf bdf;

	*config = (struct vfio_device_config){ .guest_devfn = -1 };
	if (bdf_parse(&bdf, text, ',', &rest, &why) < 0)
		return refuse(-EINVAL, "--vfio-pci %s: no PCI address: %s", text, why);
	why = parse_rest(config, rest);
	if (why)
		return refuse(-EINVAL, "--vfio-pci %s: %s", text, why);
	bdf_format(config->bdf, &bdf);
	return 0;
}
