// SPDX-License-Identifier: GPL-2.0-only
/* What -n/--network says: KEY=VALUE, separated by commas. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include <lkvm/virtio_net.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Each takes a value and returns what is wrong with it, NULL if nothing is. */
struct key {
	const char *name;
	const char *(*take)(struct virtio_network_config *config, char *value);
};

/* A decimal number up to max. */
static bool parse_number(const char *text, unsigned long max, unsigned long *number)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*number = strtoul(text, &end, 10);
	return !*end && !errno && *number <= max;
}

/* Six bytes of two hexadecimal digits, that one card may have: neither a group's nor nobody's. */
static const char *parse_mac(uint8_t mac[VIRTIO_NETWORK_MAC_SIZE], const char *text)
{
	static const uint8_t nobody[VIRTIO_NETWORK_MAC_SIZE];

	for (unsigned i = 0; i < VIRTIO_NETWORK_MAC_SIZE; i++, text += 3) {
		char digits[3] = { text[0], text[0] ? text[1] : '\0', '\0' };

		if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]) ||
		    text[2] != (i < VIRTIO_NETWORK_MAC_SIZE - 1 ? ':' : '\0'))
			return "is no MAC address such as 02:15:15:15:15:15";
		mac[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	if (mac[0] & 1)
		return "is a group's MAC address: its first byte is odd";
	if (!memcmp(mac, nobody, sizeof(nobody)))
		return "is nobody's MAC address";
	return NULL;
}

static const char *take_mode(struct virtio_network_config *config, char *value)
{
	static const char *const modes[] = { "none", "tap", "user" };

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(value, modes[i]) != 0)
			continue;
		config->mode = (enum virtio_network_mode)i;
		return NULL;
	}
	return "is no mode: tap, user or none";
}

static const char *take_guest_mac(struct virtio_network_config *config, char *value)
{
	config->guest_mac_given = true;
	return parse_mac(config->guest_mac, value);
}

static const char *take_host_mac(struct virtio_network_config *config, char *value)
{
	config->host_mac_given = true;
	return parse_mac(config->host_mac, value);
}

/* "none" is none, as it is for kvmtool. */
static const char *take_path(const char **path, char *value)
{
	if (!*value)
		return "names no file";
	*path = strcmp(value, "none") ? value : NULL;
	return NULL;
}

static const char *take_script(struct virtio_network_config *config, char *value)
{
	return take_path(&config->script, value);
}

static const char *take_downscript(struct virtio_network_config *config, char *value)
{
	return take_path(&config->downscript, value);
}

static const char *take_guest_ip(struct virtio_network_config *config, char *value)
{
	config->guest_ip_given = true;
	return inet_aton(value, &config->guest_ip) ? NULL : "is no IPv4 address";
}

static const char *take_host_ip(struct virtio_network_config *config, char *value)
{
	config->host_ip_given = true;
	return inet_aton(value, &config->host_ip) ? NULL : "is no IPv4 address";
}

static const char *take_transport(struct virtio_network_config *config, char *value)
{
	static const char *const transports[] = { "pci", "pci-legacy", "mmio", "mmio-legacy" };

	for (unsigned i = 0; i < ARRAY_SIZE(transports); i++)
		if (!strcmp(value, transports[i]))
			config->transport = transports[i];
	return config->transport ? NULL : "is no transport: pci, pci-legacy, mmio or mmio-legacy";
}

/* What Linux lets an interface be called, but for '%', which would make it choose a name. */
static const char *take_interface(struct virtio_network_config *config, char *value)
{
	size_t len = strlen(value);

	if (value[0] == '/') {
		config->macvtap = value;
		return NULL;
	}
	if (!len || !strcmp(value, ".") || !strcmp(value, ".."))
		return "names no interface";
	if (len >= sizeof(config->tapif))
		return "is too long for an interface's name: 15 characters at most";
	for (size_t i = 0; i < len; i++)
		if (strchr("%/:", value[i]) || !isgraph((unsigned char)value[i]))
			return "is no interface's name: that has no %, / or : and no space";
	memcpy(config->tapif, value, len + 1);
	return NULL;
}

static const char *take_vhost(struct virtio_network_config *config, char *value)
{
	unsigned long number;

	if (!parse_number(value, 1, &number))
		return "is neither 0 nor 1";
	config->vhost = number;
	return NULL;
}

static const char *take_fd(struct virtio_network_config *config, char *value)
{
	unsigned long number;

	if (!parse_number(value, INT32_MAX, &number))
		return "is no file descriptor";
	config->fd = (int)number;
	return NULL;
}

static const char *take_mq(struct virtio_network_config *config, char *value)
{
	unsigned long number;

	if (!parse_number(value, VIRTIO_NETWORK_PAIRS_MAX, &number) || !number)
		return "is no number of queue pairs: 1 to 16";
	config->pairs = (unsigned)number;
	return NULL;
}

/* "[IP]:PORT", the port from 1 on; splits the text. */
static bool parse_end(char *text, struct in_addr *ip, uint16_t *port)
{
	char *colon = strchr(text, ':');
	unsigned long number;

	if (!colon || !parse_number(colon + 1, UINT16_MAX, &number) || !number)
		return false;
	*colon = '\0';
	*port = (uint16_t)number;
	return !*text || inet_aton(text, ip);
}

static const char *take_forward(struct virtio_network_config *config, char *value)
{
	static const char wrong[] = "is not tcp|udp:[HOSTIP]:PORT-[GUESTIP]:PORT";
	struct virtio_network_forward forward = { .udp = !strncmp(value, "udp:", 4) }, *grown;
	char *guest = strchr(value, '-');

	if ((!forward.udp && strncmp(value, "tcp:", 4) != 0) || !guest)
		return wrong;
	*guest++ = '\0';
	if (!parse_end(value + 4, &forward.host_ip, &forward.host_port) ||
	    !parse_end(guest, &forward.guest_ip, &forward.guest_port))
		return wrong;
	grown = reallocarray(config->forwards, config->forward_count + 1, sizeof(*grown));
	if (!grown)
		return "is one too many for this host's memory";
	config->forwards = grown;
	grown[config->forward_count++] = forward;
	return NULL;
}

static const struct key keys[] = {
	{ "mode", take_mode },
	{ "guest_mac", take_guest_mac },
	{ "host_mac", take_host_mac },
	{ "script", take_script },
	{ "downscript", take_downscript },
	{ "guest_ip", take_guest_ip },
	{ "host_ip", take_host_ip },
	{ "trans", take_transport },
	{ "tapif", take_interface },
	{ "vhost", take_vhost },
	{ "fd", take_fd },
	{ "mq", take_mq },
	{ "hostfwd", take_forward },
};

/* The value is looked at as it was given: a message shows what was taken apart meanwhile. */
static int take(struct virtio_network_config *config, char *part)
{
	char *value = strchr(part, '='), *given;
	const char *why = NULL;

	if (value)
		*value++ = '\0';
	for (unsigned i = 0; value && i < ARRAY_SIZE(keys); i++) {
		if (strcmp(part, keys[i].name) != 0)
			continue;
		given = strdup(value);
		if (!given)
			return report(-ENOMEM, "--network");
		why = keys[i].take(config, value);
		if (why)
			refuse(-EINVAL, "--network: %s=%s %s", part, given, why);
		free(given);
		return why ? -EINVAL : 0;
	}
	return refuse(-EINVAL, "--network: %s is no KEY=VALUE that a network card has", part);
}

/* What fits the other keys' meaning: one card has one way out. */
static int check(const struct virtio_network_config *config)
{
	bool tap = config->mode == VIRTIO_NETWORK_TAP;
	unsigned ways = !!config->tapif[0] + !!config->macvtap + (config->fd >= 0);

	if (ways > 1)
		return refuse(
			-EINVAL,
			"--network: tapif= and fd= exclude each other, and each is given once");
	if (!tap && (ways || config->vhost || config->pairs > 1))
		return refuse(-EINVAL, "--network: tapif=, fd=, vhost= and mq= need mode=tap");
	if (config->mode != VIRTIO_NETWORK_USER && config->forward_count)
		return refuse(-EINVAL, "--network: hostfwd= needs mode=user");
	if (config->fd >= 0 && config->pairs > 1)
		return refuse(-EINVAL, "--network: an fd= has one pair of queues, not mq=%u",
			      config->pairs);
	return 0;
}

int virtio_network_config_parse(struct virtio_network_config *config, const char *text)
{
	char *rest, *part;

	*config =
		(struct virtio_network_config){ .mode = VIRTIO_NETWORK_TAP, .fd = -1, .pairs = 1 };
	config->text = rest = strdup(text);
	if (!rest)
		return report(-ENOMEM, "--network");
	if (!strcmp(text, "none")) {
		config->mode = VIRTIO_NETWORK_NONE;
		return 0;
	}
	while ((part = strsep(&rest, ",")))
		if (take(config, part) < 0)
			return -EINVAL;
	return check(config);
}

void virtio_network_config_free(struct virtio_network_config *config)
{
	free(config->forwards);
	free(config->text);
	config->forwards = NULL;
	config->text = NULL;
	config->forward_count = 0;
}
