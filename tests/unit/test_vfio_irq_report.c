// SPDX-License-Identifier: GPL-2.0-only
/* The report on interrupts: what it says follows from what the host tells, and its table is what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../vfio/irq_report.h"
#include "files.h"
#include "host_tree.h"
#include "msix_guest.h"

#define LOG_V4                                                                                     \
	"6,1,100,-;kvm [1]: vgic interrupt IRQ9\n"                                                 \
	"6,2,200,-;kvm [1]: GICv4 support enabled\n"
#define ASKED "console=ttyAMA0 kvm-arm.vgic_v4_enable=1\n"

static struct vfio_rig *rig;
static struct vfio vfio;
static char *printed;

static int setup(void **state)
{
	if (files_setup(state) || rig_setup((void **)&rig))
		return -1;
	vfio = (struct vfio){ .host = host_tree_begin(), .count = 1, .guest_doorbell = 0x3ffd0000 };
	rig->host->doorbell = true;
	return 0;
}

static int teardown(void **state)
{
	free(rig->dev->irq_rows);
	rig->dev->irq_rows = NULL;
	rig_teardown((void **)&rig);
	host_tree_end();
	free(printed);
	printed = NULL;
	return files_teardown(state);
}

/* The guest has its device; from now on its interrupts are kept track of. */
static void prepare(void)
{
	rig->dev->vfio = &vfio;
	rig->dev->config = (struct vfio_device_config){ .bdf = RIG_BDF };
	rig->dev->doorbell.chosen = VFIO_DOORBELL_KERNEL;
	vfio.devices = rig->dev;
	assert_int_equal(vfio_irq_report_prepare(&vfio), 0);
}

static void report_on(struct vfio *all)
{
	size_t size;
	FILE *out;

	free(printed);
	out = open_memstream(&printed, &size);
	vfio_irq_report_write(all, out);
	fclose(out);
}

/* printed as a table; the table, or NULL where it is refused. */
static char *table(void)
{
	FILE *in = fmemopen(printed, strlen(printed), "r"), *out;
	char *text;
	size_t size;
	int err;

	out = open_memstream(&text, &size);
	err = vfio_irq_table(in, "report.json", out);
	fclose(in);
	fclose(out);
	if (!err)
		return text;
	assert_int_equal(err, -EINVAL);
	free(text);
	return NULL;
}

static void says(const char *part)
{
	if (!strstr(printed, part))
		fail_msg("no \"%s\" in:\n%s", part, printed);
}

static void vgic_state(const char *text)
{
	char path[100];

	snprintf(path, sizeof(path), "sys/kernel/debug/kvm/%d-%d/vgic-state", (int)getpid(),
		 rig->vm.fd);
	host_text(path, text);
}

static void interrupts(void)
{
	host_text("proc/interrupts",
		  "           CPU0       CPU1\n"
		  "  9:          5          0     GICv3  25 Level     vgic\n"
		  " 90:          7          0  ITS-PCI-MSIX-0000:01:00.1   0 Edge      "
		  "vfio-msix[0](0000:01:00.1)\n"
		  " 91:          4          8  ITS-PCI-MSIX-" RIG_BDF "   0 Edge      "
		  "vfio-msix[0](" RIG_BDF ")\n"
		  " 92:          0          0  ITS-PCI-MSIX-" RIG_BDF "   1 Edge      "
		  "vfio-msix[1](" RIG_BDF ")\n"
		  "ERR:          0\n");
}

/* --- rows --- */

static void a_vector_in_force_is_told_from_end_to_end(void **state)
{
	(void)state;
	msix_build(rig, 3, true);
	prepare();
	interrupts();
	rig->dev->doorbell = (struct vfio_doorbell){ VFIO_DOORBELL_AUTO, 0x3ffd0000 };
	rig->hw->doorbell = 0x3ffd0000;
	host_text("dev/kmsg", LOG_V4);
	vgic_state("       LPI 8192      0 0001001        0        0   0 192      -1 \n");
	msix_bring_up(rig, 2);
	report_on(&vfio);
	says("\"guest_doorbell\": \"0x3ffd0000\",\n  \"direct_delivery\": \"yes\",\n  \"why_not\": "
	     "null");
	says("\"device\": \"" RIG_BDF "\",\n      \"interrupt\": \"msix\",\n      \"vector\": 1,\n"
	     "      \"address\": \"0x3ffd0040\",\n      \"event\": 1,\n      \"gsi\": 1025,\n"
	     "      \"devid\": 24,\n      \"doorbell_iova\": \"0x3ffd0040\",\n"
	     "      \"doorbell_by\": \"guest\",\n      \"doorbell_phys\": \"0x8090040\",\n"
	     "      \"host_irq\": 92,\n      \"host_count\": 0,\n      \"armed\": true,\n"
	     "      \"delivery\": \"irqfd\",\n      \"why_not_direct\": \"unknown\"\n");
	says("\"host_irq\": 91,\n      \"host_count\": 12,");
	says("\"vector\": 2,\n      \"address\": null,");
	says("\"delivery\": \"not armed\",\n      \"why_not_direct\": null");
}

static void lpis_that_hardware_delivers_are_direct(void **state)
{
	(void)state;
	msix_build(rig, 1, true);
	prepare();
	host_text("dev/kmsg", LOG_V4);
	/* One that the guest has not enabled counts for nothing. */
	vgic_state("       LPI 8192      0 0001101        0        0   0 192      -1 \n"
		   "       LPI 8193      0 0000001        0        0   0 192      -1 \n"
		   "       SPI   32      0 0001001        0        0   0 192      -1 \n");
	msix_bring_up(rig, 1);
	report_on(&vfio);
	says("\"delivery\": \"direct\",\n      \"why_not_direct\": null");
}

/* Some are, some are not: an interrupt that the host has taken tells; else nothing does. */
static void what_cannot_be_told_is_unknown(void **state)
{
	(void)state;
	msix_build(rig, 2, true);
	prepare();
	interrupts();
	host_text("dev/kmsg", LOG_V4);
	vgic_state("       LPI 8192      0 0001101        0        0   0 192      -1 \n"
		   "       LPI 8193      0 0001001        0        0   0 192      -1 \n");
	msix_bring_up(rig, 2);
	report_on(&vfio);
	says("\"host_count\": 12,\n      \"armed\": true,\n      \"delivery\": \"irqfd\"");
	says("\"host_count\": 0,\n      \"armed\": true,\n      \"delivery\": \"unknown\",\n"
	     "      \"why_not_direct\": \"the host does not tell\"");
	/* The irqdomains' debugfs knows of each one. */
	host_text("sys/kernel/debug/irq/irqs/92", "dstate:   0x1\n  IRQD_FORWARDED_TO_VCPU\n");
	report_on(&vfio);
	says("\"host_count\": 0,\n      \"armed\": true,\n      \"delivery\": \"direct\"");
}

/* A Linux that powers off masks and disables everything before lkvm writes its report. */
static void what_the_guest_has_taken_away_stays_told(void **state)
{
	(void)state;
	msix_build(rig, 1, true);
	prepare();
	interrupts();
	host_text("dev/kmsg", LOG_V4);
	vgic_state("       LPI 8192      0 0001101        0        0   0 192      -1 \n");
	msix_bring_up(rig, 1);
	msix_mask(rig, 0, true);
	vgic_state("       LPI 8192      0 0000001        0        0   0 192      -1 \n");
	msix_control(rig, 0);
	report_on(&vfio);
	says("\"host_irq\": 91,\n      \"host_count\": 12,\n      \"armed\": false,\n"
	     "      \"delivery\": \"direct\"");
	vfio_irq_forget(rig->dev);
	report_on(&vfio);
	says("\"delivery\": \"not armed\"");
}

static void intx_is_told(void **state)
{
	(void)state;
	rig_build(rig);
	prepare();
	host_text("proc/interrupts", " 55: 3 4 GICv3 36 Level vfio-intx(" RIG_BDF ")\n");
	guest_command(rig, PCI_COMMAND_MEMORY);
	report_on(&vfio);
	says("\"interrupt\": \"intx\",\n      \"vector\": 0,\n      \"address\": null,");
	says("\"host_irq\": 55,\n      \"host_count\": 7,\n      \"armed\": true,\n"
	     "      \"delivery\": \"irqfd\",\n      \"why_not_direct\": \"INTx is never");
}

static void intx_leaves_the_vectors_told(void **state)
{
	(void)state;
	msix_build(rig, 1, true);
	prepare();
	interrupts();
	msix_bring_up(rig, 1);
	msix_control(rig, 0);
	guest_command(rig, PCI_COMMAND_MEMORY);
	report_on(&vfio);
	says("\"interrupt\": \"msix\",\n      \"vector\": 0,");
	says("\"doorbell_iova\": \"0x8000040\",\n      \"doorbell_by\": \"kernel\"");
	says("\"host_count\": 12,\n      \"armed\": false,");
	says("\"interrupt\": \"intx\",\n      \"vector\": 0,");
}

static void a_machine_without_devices_has_an_empty_report(void **state)
{
	char *text;

	(void)state;
	rig_build(rig);
	report_on(NULL);
	says("\"direct_delivery\": \"unknown\"");
	says("\"vectors\": []");
	text = table();
	assert_non_null(text);
	free(text);
}

/* --- why not --- */

static void the_reason_is_the_hosts(void **state)
{
	static const struct {
		const char *log, *command_line, *possible, *why;
	} cases[] = {
		{ "6,1,1,-;kvm [1]: vgic interrupt IRQ9\n", ASKED, "no",
		  "the host's interrupt controller is no GICv4" },
		{ LOG_V4 "6,3,1,-;x\n", "quiet\n", "yes", "unknown" },
		{ "6,1,1,-;kvm [1]: GICv4.1 support disabled\n", "quiet\n", "no",
		  "the host's kernel was started without kvm-arm.vgic_v4_enable=1" },
		{ NULL, "kvm_arm.vgic_v4_enable=0\n", "no",
		  "the host's kernel was started without kvm-arm.vgic_v4_enable=1" },
		{ NULL, ASKED, "unknown", "unknown" },
		{ LOG_V4
		  "6,3,99999999000000,-;irq bypass consumer (token 0) registration fails: 66311\n",
		  ASKED, "yes", "the guest had not mapped the event in its ITS" },
		{ LOG_V4 "6,3,99999999000000,-;vfio-pci " RIG_BDF
			 ": irq bypass producer (token 0) registration fails: -16\n",
		  ASKED, "yes", "the guest's ITS, or its LPIs, were off" },
		{ LOG_V4 "6,3,99999999000000,-;vfio-pci " RIG_BDF
			 ": irq bypass producer (token 0) registration fails: -22\n",
		  ASKED, "yes", "KVM took the physical ITS for none with GICv4" },
		/* Another function's, and one from before lkvm was started. */
		{ LOG_V4
		  "6,3,99999999000000,-;vfio-pci 0000:0f:00.0: irq bypass producer (token 0) "
		  "registration fails: -16\n"
		  "6,3,0,-;irq bypass consumer (token 0) registration fails: 66311\n",
		  ASKED, "yes", "unknown" },
	};

	(void)state;
	msix_build(rig, 1, true);
	prepare();
	vgic_state("       LPI 8192      0 0001001        0        0   0 192      -1 \n");
	msix_bring_up(rig, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char wanted[200];

		host_remove("dev/kmsg");
		if (cases[i].log)
			host_text("dev/kmsg", cases[i].log);
		host_text("proc/cmdline", cases[i].command_line);
		report_on(&vfio);
		snprintf(wanted, sizeof(wanted), "\"direct_delivery\": \"%s\"", cases[i].possible);
		says(wanted);
		snprintf(wanted, sizeof(wanted),
			 "\"delivery\": \"irqfd\",\n      \"why_not_direct\": \"%s\"",
			 cases[i].why);
		says(wanted);
	}
}

static void a_message_that_misses_the_its_is_the_reason(void **state)
{
	(void)state;
	vfio.guest_doorbell = 0x3ff00000;
	msix_build(rig, 1, true);
	prepare();
	host_text("dev/kmsg", LOG_V4);
	vgic_state("       LPI 8192      0 0001001        0        0   0 192      -1 \n");
	msix_bring_up(rig, 1);
	report_on(&vfio);
	says("\"why_not_direct\": \"the guest's message does not go to its ITS\"");
}

/* --- the table --- */

static void the_table_has_a_line_for_each_vector_in_force(void **state)
{
	char *text;

	(void)state;
	msix_build(rig, 5, true);
	prepare();
	interrupts();
	host_text("dev/kmsg", "6,1,1,-;kvm [1]: vgic interrupt IRQ9\n");
	msix_bring_up(rig, 2);
	report_on(&vfio);
	text = table();
	assert_non_null(text);
	assert_non_null(strstr(text, "direct delivery possible: no: the host's interrupt "
				     "controller is no GICv4\n"));
	assert_non_null(strstr(text, RIG_BDF "  msix  0       0x3ffd0040"));
	assert_non_null(strstr(text, "  91        12      yes    irqfd      the host's"));
	assert_non_null(strstr(text, "3 vectors were never armed\n"));
	free(text);
}

/* Each byte lost or changed is noticed, or does not matter to the table: what it never does is to crash. */
static void a_damaged_report_is_refused_by_line(void **state)
{
	size_t size;
	char *text;

	(void)state;
	msix_build(rig, 1, true);
	prepare();
	msix_bring_up(rig, 1);
	report_on(&vfio);
	size = strlen(printed);
	for (size_t cut = size - 1; cut-- > 0;) {
		char kept = printed[cut];

		printed[cut] = 0;
		stderr_keep();
		text = cut ? table() : NULL;
		assert_null(text);
		if (cut)
			assert_reported("this is not what --irq-report writes");
		else
			stderr_text();
		printed[cut] = kept;
	}
	printed[strcspn(printed, "1")] = '2';
	stderr_keep();
	assert_null(table());
	assert_reported("report.json, line 2: this is not what --irq-report writes");
}

static void a_report_is_written_to_a_file(void **state)
{
	const char *path = file_path("report.json");
	char text[64] = "";
	FILE *file;

	(void)state;
	rig_build(rig);
	prepare();
	assert_int_equal(vfio_irq_report(&vfio, path), 0);
	assert_int_equal(vfio_irq_report(&vfio, path), 0);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	assert_memory_equal(text, "{\n  \"lkvm_irq_report\": 1,", 25);
	stderr_keep();
	assert_int_equal(vfio_irq_report(&vfio, "/dev/full"), -ENOSPC);
	assert_reported("cannot write the report on interrupts to /dev/full");
	stderr_keep();
	assert_int_equal(vfio_irq_report(&vfio, "/nowhere/report"), -ENOENT);
	assert_reported("/nowhere/report");
	stderr_keep();
	assert_int_equal(vfio_irqs_print("/nowhere/report", stdout), -ENOENT);
	assert_reported("cannot open /nowhere/report");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_vector_in_force_is_told_from_end_to_end),
		TEST(lpis_that_hardware_delivers_are_direct),
		TEST(what_cannot_be_told_is_unknown),
		TEST(what_the_guest_has_taken_away_stays_told),
		TEST(intx_is_told),
		TEST(intx_leaves_the_vectors_told),
		TEST(a_machine_without_devices_has_an_empty_report),
		TEST(the_reason_is_the_hosts),
		TEST(a_message_that_misses_the_its_is_the_reason),
		TEST(the_table_has_a_line_for_each_vector_in_force),
		TEST(a_damaged_report_is_refused_by_line),
		TEST(a_report_is_written_to_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
