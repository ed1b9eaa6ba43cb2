// SPDX-License-Identifier: GPL-2.0-only
/* lkvm vfio list and check: what they say of a host, as text and as JSON that any reader takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/pci.h>
#include "../../vfio/container.h"
#include "../../vfio/hindrance.h"
#include "../../vfio/json.h"
#include "fake_vfio.h"
#include "files.h"
#include "host_tree.h"

#define NIC "0000:01:00.0"

static const struct vfio_host *host;
static struct fake_vfio *fake;
static char *printed;

static int setup(void **state)
{
	uint8_t config[256] = { [PCI_STATUS] = PCI_STATUS_CAP_LIST,
				[PCI_CAPABILITY_LIST] = 0x40,
				[PCI_INTERRUPT_PIN] = 1,
				[0x40] = PCI_CAP_ID_MSI,
				[0x41] = 0x50,
				[0x42] = 6,
				[0x50] = PCI_CAP_ID_MSIX,
				[0x52] = 4 };

	if (files_setup(state))
		return -1;
	host = host_tree_begin();
	fake = fake_vfio_begin();
	fake_vfio_add(NIC, 5, 0x8086, 0x10d3);
	host_function(NIC, 0x8086, 0x10d3, 0x020000, "vfio-pci", 5);
	host_function("0000:00:01.0", 0x1b36, 0xc, 0x060400, "pcieport", 5);
	host_text("sys/bus/pci/devices/" NIC "/reset_method", "flr bus\n");
	host_text("sys/bus/pci/devices/" NIC "/resource", "0x10000000 0x1001ffff 0x40200\n"
							  "0x1000 0x101f 0x40101\n"
							  "0x8000000000 0x80ffffffff 0x14220c\n");
	host_file("sys/bus/pci/devices/" NIC "/config", config, sizeof(config));
	host_text("sys/kernel/iommu_groups/5/reserved_regions", "0x8000000 0x80fffff msi\n");
	return 0;
}

static int teardown(void **state)
{
	free(printed);
	printed = NULL;
	fake_vfio_end();
	host_tree_end();
	return files_teardown(state);
}

static int check(const char *bdf, bool json)
{
	size_t size;
	FILE *out;
	int result;

	free(printed);
	out = open_memstream(&printed, &size);
	assert_non_null(out);
	result = vfio_check_on(host, bdf, json, out);
	fclose(out);
	return result;
}

static int list(void)
{
	size_t size;
	FILE *out;
	int result;

	free(printed);
	out = open_memstream(&printed, &size);
	assert_non_null(out);
	result = vfio_list_on(host, out);
	fclose(out);
	return result;
}

static void assert_says(const char *part)
{
	if (!strstr(printed, part))
		fail_msg("\"%s\" is not in:\n%s", part, printed);
}

/* --- a reader of JSON that accepts nothing else (RFC 8259) --- */

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *read_value(const char *p, unsigned depth);

static const char *read_string(const char *p)
{
	assert_int_equal(*p++, '"');
	while (*p != '"') {
		assert_true((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f);
		if (*p++ != '\\')
			continue;
		assert_non_null(strchr("\"\\/bfnrtu", *p));
		if (*p++ == 'u')
			for (unsigned i = 0; i < 4; i++)
				assert_true(isxdigit((unsigned char)*p++));
	}
	return skip_space(p + 1);
}

static const char *read_members(const char *p, char close, unsigned depth)
{
	p = skip_space(p + 1);
	if (*p == close)
		return skip_space(p + 1);
	for (;; p = skip_space(p + 1)) {
		if (close == '}') {
			p = read_string(p);
			assert_int_equal(*p, ':');
			p = skip_space(p + 1);
		}
		p = read_value(p, depth + 1);
		if (*p == close)
			return skip_space(p + 1);
		assert_int_equal(*p, ',');
	}
}

static const char *read_value(const char *p, unsigned depth)
{
	static const char *const words[] = { "true", "false", "null" };

	assert_true(depth < 16);
	if (*p == '{')
		return read_members(p, '}', depth);
	if (*p == '[')
		return read_members(p, ']', depth);
	if (*p == '"')
		return read_string(p);
	for (unsigned i = 0; i < 3; i++)
		if (!strncmp(p, words[i], strlen(words[i])))
			return skip_space(p + strlen(words[i]));
	assert_true(isdigit((unsigned char)*p));
	assert_true(*p != '0' || !isdigit((unsigned char)p[1]));
	return skip_space(p + strspn(p, "0123456789"));
}

static void assert_json(void)
{
	const char *end = read_value(skip_space(printed), 0);

	if (*end)
		fail_msg("more than one value: %s", end);
}

/* --- check --- */

/* The limit on locked memory is this machine's own; without it in the way, as for root: */
static bool memlock_suffices(void)
{
	struct hindrances found = { 0 };
	struct sysfs_function function = { .bdf = NIC };
	struct memlock memlock;

	memlock_read(&memlock);
	hindrance_of_memlock(&found, &function, &memlock);
	return !found.count;
}

static void a_ready_function_says_all(void **state)
{
	(void)state;
	assert_int_equal(check("1:0.0", false), memlock_suffices() ? 0 : 1);
	assert_says(NIC " 8086:10d3 Ethernet controller\n");
	assert_says("  driver       vfio-pci\n");
	assert_says("  IOMMU group  5, viable\n");
	assert_says("    0000:00:01.0 pcieport, bridge\n");
	assert_says("  reset        flr bus\n");
	assert_says("  interrupts   MSI-X 5, MSI 8, INTx\n");
	assert_says("  BAR 0        0x10000000, 128 KiB, memory\n");
	assert_says("  BAR 1        0x1000, 32 bytes, I/O\n");
	assert_says("  BAR 2        0x8000000000, 4 GiB, memory 64-bit prefetchable\n");
	assert_says("  reserved     0x8000000-0x80fffff msi\n");
	assert_says("  MSI doorbell the kernel chooses its IOVA; the modules of lkvm's "
		    "kernel/README.md let lkvm choose\n");
	assert_says("  memlock      ");
	if (memlock_suffices())
		assert_says("  ready\n");
	assert_int_equal(fake_vfio_fds(), 0);
}

static void a_doorbell_that_can_be_chosen_is_told(void **state)
{
	struct fake_vfio_device *dev = fake_vfio_device(NIC);

	(void)state;
	fake->doorbell = true;
	dev->irqs[VFIO_PCI_MSI_IRQ_INDEX].count = 1;
	check(NIC, false);
	assert_says("  MSI doorbell its IOVA can be chosen (--msi-doorbell)\n");
	check(NIC, true);
	assert_json();
	assert_says("\"msi_doorbell\": \"any\"");
	dev->msi_untranslated = true;
	check(NIC, false);
	assert_says("  MSI doorbell the host's IOMMU translates no MSIs of this function\n");
	host_bind(NIC, "e1000e");
	check(NIC, false);
	assert_says("  MSI doorbell not known whether its IOVA can be chosen");
	check(NIC, true);
	assert_says("\"msi_doorbell\": null");
	assert_int_equal(fake_vfio_fds(), 0);
}

static void the_same_as_json(void **state)
{
	(void)state;
	assert_int_equal(check(NIC, true), memlock_suffices() ? 0 : 1);
	assert_json();
	assert_says("\"bdf\": \"" NIC "\"");
	assert_says("\"iommu_group\": 5,");
	assert_says("\"viable\": true");
	assert_says("\"msix_vectors\": 5,");
	assert_says("\"msi_doorbell\": \"kernel\"");
	assert_says("\"address\": \"0x8000000000\",\n      \"size\": 4294967296,");
	assert_says("\"reset_methods\": [\n    \"flr\",\n    \"bus\"\n  ]");
	assert_says("\"type\": \"msi\"");
}

static void everything_in_the_way_is_listed(void **state)
{
	(void)state;
	host_function("0000:01:00.1", 0x8086, 1, 0x040300, "snd_hda_intel", 5);
	host_bind(NIC, "e1000e");
	host_remove("sys/bus/pci/drivers/vfio-pci");
	host_remove("dev/vfio/vfio");
	assert_int_equal(check(NIC, false), 1);
	assert_says("  NOT READY\n");
	assert_says("    # modprobe vfio-pci\n");
	assert_says("is bound to the host's driver e1000e");
	assert_says("0000:01:00.1 snd_hda_intel, in the way\n");
	assert_says("    # for d in 0000:01:00.1; do");
	assert_says("there is no /dev/vfio/vfio");
	assert_int_equal(check(NIC, true), 1);
	assert_json();
	assert_says("\"ready\": false");
	assert_says("\"cure\": \"modprobe vfio-pci\",\n      \"cure_is_command\": true");
}

static void a_group_in_use_is_seen_by_trying(void **state)
{
	int fd = vfio_open_path("/dev/vfio/5");

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(check(NIC, false), 1);
	assert_says(NIC " is in use: another process holds its IOMMU group 5");
	close(fd);
}

static void what_is_not_there_is_not_ready(void **state)
{
	(void)state;
	assert_int_equal(check("0000:00:1f.0", false), 1);
	assert_says("this host has no PCI function 0000:00:1f.0");
	assert_int_equal(check("0000:00:1f.0", true), 1);
	assert_json();
	assert_says("\"exists\": false");
	stderr_keep();
	assert_int_equal(check("eth0", true), -EINVAL);
	assert_reported("eth0 is no PCI address");
	assert_string_equal(printed, "");
}

static void without_root_vectors_are_unknown(void **state)
{
	uint8_t config[64] = { [PCI_INTERRUPT_PIN] = 1 };

	(void)state;
	host_file("sys/bus/pci/devices/" NIC "/config", config, sizeof(config));
	check(NIC, false);
	assert_says("  interrupts   INTx; MSI and MSI-X: only root can see them\n");
	check(NIC, true);
	assert_json();
	assert_says("\"msi_vectors\": null,\n  \"msix_vectors\": null,");
}

static void a_group_may_be_unknown(void **state)
{
	(void)state;
	host_remove("sys/bus/pci/devices/" NIC "/iommu_group");
	host_bind(NIC, NULL);
	host_text("sys/class/iommu/smmu3", "");
	assert_int_equal(check(NIC, false), 1);
	assert_says("  IOMMU group  not known before a driver is bound\n");
	check(NIC, true);
	assert_json();
	assert_says("\"iommu_group\": null,\n  \"iommu_group_known\": false,");
}

static void strange_names_do_not_break_json(void **state)
{
	(void)state;
	host_bind(NIC, "dr\"i\\v\n\x01\x7f\xc3\xa9r");
	host_link("sys/kernel/iommu_groups/5/devices/\"},{\"", "nowhere");
	assert_int_equal(check(NIC, true), 1);
	assert_json();
	assert_says("\"driver\": \"dr\\\"i\\\\v\\u000a\\u0001\\u007f\\u00c3\\u00a9r\"");
}

static void a_small_memlock_limit_is_in_the_way(void **state)
{
	struct memlock memlock = { .soft = 65536, .hard = 8 << 20 };
	struct sysfs_function function = { .bdf = NIC };
	struct hindrances found = { 0 };

	(void)state;
	hindrance_of_memlock(&found, &function, &memlock);
	assert_int_equal(found.count, 1);
	assert_non_null(strstr(found.list[0].cause, "(RLIMIT_MEMLOCK) is 8 MiB"));
	assert_non_null(strstr(found.list[0].cure, "prlimit --memlock=unlimited --pid "));
	memlock.may_raise = true;
	hindrance_of_memlock(&found, &function, &memlock);
	memlock = (struct memlock){ .hard = MEMLOCK_INFINITE };
	hindrance_of_memlock(&found, &function, &memlock);
	assert_int_equal(found.count, 1);
}

static void json_of_nothing(void **state)
{
	size_t size;
	struct json json = { .out = open_memstream(&printed, &size) };

	(void)state;
	json_open(&json, NULL, '{');
	json_open(&json, "", '[');
	json_close(&json, ']');
	json_number(&json, "n", UINT64_MAX);
	json_open(&json, "o", '{');
	json_close(&json, '}');
	json_close(&json, '}');
	fclose(json.out);
	assert_string_equal(printed,
			    "{\n  \"\": [],\n  \"n\": 18446744073709551615,\n  \"o\": {}\n}\n");
	assert_json();
}

/* --- list --- */

static void the_list_has_a_line_a_function(void **state)
{
	char target[200];

	(void)state;
	host_function("0000:02:00.0", 0x1b36, 0x10, 0x010802, "nvme", 6);
	host_function("0000:03:00.0", 0x1234, 0x11e8, 0x00ff00, NULL, -1);
	assert_int_equal(list(), 0);
	assert_says("FUNCTION      ID         CLASS                DRIVER    GROUP  STATUS\n"
		    "0000:00:01.0  1b36:000c  PCI bridge           pcieport      5  a bridge\n"
		    "0000:01:00.0  8086:10d3  Ethernet controller  vfio-pci      5  ready\n"
		    "0000:02:00.0  1b36:0010  NVM controller       nvme          6  bound to nvme\n"
		    "0000:03:00.0  1234:11e8  Unclassified         -             -  no IOMMU\n");
	snprintf(target, sizeof(target), "%s/vfio/5", host->dev);
	host_link("proc/42/fd/9", target);
	host_text("proc/42/comm", "lkvm\n");
	host_text("sys/class/iommu/smmu3", "");
	assert_int_equal(list(), 0);
	assert_says("5  in use by process 42 (lkvm)\n");
	assert_says("?  bound to no driver\n");
	assert_int_equal(fake_vfio_fds(), 0);
}

static void a_host_may_have_none(void **state)
{
	(void)state;
	host_remove("sys/bus/pci/devices/" NIC);
	host_remove("sys/bus/pci/devices/0000:00:01.0");
	assert_int_equal(list(), 0);
	assert_string_equal(printed, "FUNCTION      ID         CLASS  DRIVER  GROUP  STATUS\n");
	host_remove("sys/bus");
	stderr_keep();
	assert_int_equal(list(), -ENOENT);
	assert_reported("cannot list the host's PCI functions");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_ready_function_says_all),
		TEST(a_doorbell_that_can_be_chosen_is_told),
		TEST(the_same_as_json),
		TEST(everything_in_the_way_is_listed),
		TEST(a_group_in_use_is_seen_by_trying),
		TEST(what_is_not_there_is_not_ready),
		TEST(without_root_vectors_are_unknown),
		TEST(a_group_may_be_unknown),
		TEST(strange_names_do_not_break_json),
		TEST(a_small_memlock_limit_is_in_the_way),
		TEST(json_of_nothing),
		TEST(the_list_has_a_line_a_function),
		TEST(a_host_may_have_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
