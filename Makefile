# SPDX-License-Identifier: GPL-2.0-only
#
# make            build/lkvm: cross-built for arm64, or native on an arm64 machine
# make check      everything that can be checked: lint, unit tests, boot tests
# make demo       watch a guest with two passed-through devices in an emulated host
# make help       all targets

MAKEFLAGS	+= --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL	:= all

B		:= build
# V=1 shows the commands.
Q		:= $(if $(V),,@)
say		 = $(if $(V),,@printf '  %-7s %s\n' '$1' '$@')
HOST_ARCH	:= $(shell uname -m)
ifeq ($(HOST_ARCH),aarch64)
CROSS_COMPILE	?=
else
CROSS_COMPILE	?= aarch64-linux-gnu-
endif
CC		:= $(CROSS_COMPILE)gcc
OBJCOPY		:= $(CROSS_COMPILE)objcopy
HOSTCC		?= gcc
PREFIX		?= /usr/local
DESTDIR		?=
VERSION		?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)
# Seconds that `make fuzz` spends on each target.
TIME		?= 60

SRC		:= $(wildcard lkvm.c cli/*.c machine/*.c arm/*.c vfio/*.c virtio/*.c vmm/*.c)
VERSIONED	:= $(shell grep -ls LKVM_VERSION $(SRC) /dev/null)

WARN		:= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
		   -Wimplicit-fallthrough -Wvla -Werror
COMMON		:= -std=gnu11 $(WARN) -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iinclude -g -MMD -MP
VERSION_FLAG	 = $(if $(filter $<,$(VERSIONED)),-DLKVM_VERSION='"$(VERSION)"')

# --- the product ---
ARM		:= $B/arm64
SYSROOT		:= $B/sysroot/usr
fortify_level	 = $(shell $(CC) -O2 -D_FORTIFY_SOURCE=3 -Werror -include string.h -xc -fsyntax-only \
		   /dev/null 2>/dev/null && echo 3 || echo 2)
# Asked once, when the compiler is first used: it may have to be installed before.
FORTIFY		 = $(eval FORTIFY := $(fortify_level))$(FORTIFY)
CFLAGS		?= -Os
# What runs at each access or request of a guest's is made fast, all else small.
HOT		:= arm/kvm.c arm/vcpu_run.c arm/uart.c vmm/mmio.c vmm/guest_mem.c vmm/loop.c virtio/iov.c \
		   $(wildcard virtio/virtq*.c)
PRODUCT_CFLAGS	 = $(COMMON) $(CFLAGS) -isystem $(SYSROOT)/include -fPIE -fstack-protector-strong \
		   -D_FORTIFY_SOURCE=$(FORTIFY) -mbranch-protection=standard -mno-outline-atomics \
		   -ffunction-sections -fdata-sections \
		   -fno-asynchronous-unwind-tables -fno-unwind-tables
# The loader's work for each shared library costs more than all lkvm does before the guest runs:
# only libc is one.
PRODUCT_LDFLAGS	:= -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections -Wl,-O1 \
		   -L$(SYSROOT)/lib/aarch64-linux-gnu
PRODUCT_LIBS	:= -l:libfdt.a -l:libaio.a
STATIC_LIBS	:= $(PRODUCT_LIBS) -l:libz.a -l:libzstd.a
# A static program has what others load.
LOADED		:= arm/codec_loaded.c
LINKED		:= arm/codec_linked.c

OBJ		:= $(SRC:%.c=$(ARM)/%.o)
DYNAMIC_OBJ	:= $(filter-out $(LINKED:%.c=$(ARM)/%.o),$(OBJ))
STATIC_OBJ	:= $(filter-out $(LOADED:%.c=$(ARM)/%.o),$(OBJ))

.PHONY: all check check-unit check-tsan check-boot check-fuzz lint bench bench-report fuzz demo install clean \
	distclean help guest bed FORCE

all: $B/lkvm

link_static	 = $(Q)$(CC) $(PRODUCT_LDFLAGS) -static-pie -o $@ $(STATIC_OBJ) $(STATIC_LIBS)

$B/lkvm: $(OBJ) $B/flags-link
	$(call say,LD)
ifdef STATIC
	$(link_static)
else
	$(Q)$(CC) $(PRODUCT_LDFLAGS) -pie -o $@ $(DYNAMIC_OBJ) $(PRODUCT_LIBS)
endif

ifeq ($(origin CFLAGS),file)
$(HOT:%.c=$(ARM)/%.o): private CFLAGS = -O2
endif
$(ARM)/%.o: %.c $B/flags-arm64 | $B/need/build
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(PRODUCT_CFLAGS) $(VERSION_FLAG) -c -o $@ $<

# Files that hold what a build depends on besides sources; touched only when that changes.
define remember
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$1)' | cmp -s - $@ || echo '$(subst ','\'',$1)' >$@
endef
$B/flags-arm64: FORCE | $B/need/build
	$(call remember,$(CC) $(PRODUCT_CFLAGS) $(HOT))
$B/flags-link: FORCE
	$(call remember,$(PRODUCT_LDFLAGS) $(if $(STATIC),static) $(SRC))
$B/version: FORCE
	$(call remember,$(VERSION))
$(VERSIONED:%.c=$(ARM)/%.o) $(VERSIONED:%.c=$B/native/%.o) $(VERSIONED:%.c=$B/tsan/%.o): $B/version

# What is missing on this machine, group by group; see scripts/need.
$B/need/%: scripts/need
	@scripts/need $*

# --- payloads that run in a guest without an operating system: guest/NAME.c, on guest/lib ---
GUEST_LIB	:= $(wildcard guest/lib/*.c guest/lib/*.S)
GUEST_SRC	:= $(wildcard guest/*.c guest/*.S)
GUEST_BIN	:= $(patsubst guest/%,$B/guest/%.bin,$(basename $(GUEST_SRC)))
GUEST_CFLAGS	:= -std=gnu11 $(WARN) -O2 -g -MMD -MP -ffreestanding -fno-pic -fno-stack-protector \
		   -mgeneral-regs-only -mstrict-align -mcmodel=tiny -Iguest/lib
GUEST_OBJ	:= $(patsubst guest/%,$B/guest/%.o,$(basename $(GUEST_LIB)))

guest: $(GUEST_BIN)

$B/guest/%.o: guest/%.c Makefile | $B/need/build
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<
$B/guest/%.o: guest/%.S Makefile | $B/need/build
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<
$B/guest/%.elf: $B/guest/%.o $(GUEST_OBJ) guest/lib/guest.ld
	$(call say,LD)
	$(Q)$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--no-warn-rwx-segments -Wl,-T,guest/lib/guest.ld -o $@ \
		$< $(GUEST_OBJ)
$B/guest/%.bin: $B/guest/%.elf
	$(call say,BIN)
	$(Q)$(OBJCOPY) -O binary $< $@

# --- unit tests: the same sources on this machine, with sanitizers and fake doors ---
UNIT_SRC	:= $(wildcard tests/unit/test_*.c)
FAKE_SRC	:= $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
LIB_SRC		:= $(filter-out lkvm.c $(LINKED),$(SRC))
UNIT_LIBS	:= -lcmocka -lfdt -lz -lzstd -laio -lpthread
NATIVE_FLAGS	:= $(COMMON) -isystem $B/native/include -O1 -fno-omit-frame-pointer

# The KVM interface of arm64 for a machine of another architecture.
ifneq ($(HOST_ARCH),aarch64)
CROSS_INCLUDE	?= /usr/aarch64-linux-gnu/include
UAPI		:= $(addprefix $B/native/include/asm/,kvm.h ptrace.h sve_context.h hwcap.h)
$(UAPI): $B/native/include/asm/%: | $B/need/build
	@mkdir -p $(@D)
	@ln -sf $(CROSS_INCLUDE)/asm/$* $@
endif

# $1: folder below build/, $2: compiler, $3: flags
define native_build
$B/$1/%.o: %.c Makefile | $(UAPI) $B/need/unit
	@mkdir -p $$(@D)
	$$(call say,CC)
	$$(Q)$2 $(NATIVE_FLAGS) $3 $$(VERSION_FLAG) -c -o $$@ $$<
$B/$1/tests/%.o: tests/%.c Makefile | $(UAPI) $B/need/unit
	@mkdir -p $$(@D)
	$$(call say,CC)
	$$(Q)$2 $(NATIVE_FLAGS) $3 -Itests/unit -I. -c -o $$@ $$<
$B/$1/liblkvm.a: $(LIB_SRC:%.c=$B/$1/%.o) $B/flags-link
	$$(call say,AR)
	@rm -f $$@
	@ar rcs $$@ $$(filter %.o,$$^)
# Before liblkvm.a on the command line: a test that uses a fake door gets its functions in place of
# the real ones, a test that does not gets the real ones.
$B/$1/libfake.a: $(FAKE_SRC:%.c=$B/$1/%.o) $B/flags-link
	$$(call say,AR)
	@rm -f $$@
	@ar rcs $$@ $$(filter %.o,$$^)
$B/$1/test_%: $B/$1/tests/unit/test_%.o $B/$1/libfake.a $B/$1/liblkvm.a
	$$(call say,LD)
	$$(Q)$2 $3 -o $$@ $$^ $(UNIT_LIBS)
endef

ASAN		:= -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN		:= -fsanitize=thread
FUZZER		:= -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
		   -Wno-gnu-variable-sized-type-not-at-end
$(eval $(call native_build,native,$(HOSTCC),$(ASAN)))
$(eval $(call native_build,tsan,$(HOSTCC),$(TSAN)))
$(eval $(call native_build,fuzz,clang,$(FUZZER)))

UNIT		:= $(UNIT_SRC:tests/unit/%.c=$B/native/%)
UNIT_TSAN	:= $(UNIT_SRC:tests/unit/%.c=$B/tsan/%)

# Fuzz targets: with libFuzzer for `make fuzz`, with a main() that replays the corpus for the check.
FUZZ_SRC	:= $(wildcard tests/fuzz/fuzz_*.c)
FUZZ		:= $(FUZZ_SRC:tests/fuzz/%.c=$B/fuzz/%)
REPLAY		:= $(FUZZ_SRC:tests/fuzz/%.c=$B/native/%)

$B/native/fuzz_%: $B/native/tests/fuzz/fuzz_%.o $B/native/tests/fuzz/replay.o \
		$B/native/libfake.a $B/native/liblkvm.a
	$(call say,LD)
	$(Q)$(HOSTCC) $(ASAN) -o $@ $^ $(UNIT_LIBS)
$B/fuzz/fuzz_%: $B/fuzz/tests/fuzz/fuzz_%.o $B/fuzz/libfake.a $B/fuzz/liblkvm.a
	$(call say,LD)
	$(Q)clang $(FUZZER) -fsanitize=fuzzer -o $@ $^ $(UNIT_LIBS)
$(FUZZ_SRC:%.c=$B/fuzz/%.o): | $B/need/fuzz

check-unit: $(UNIT) $(REPLAY) check-tsan
	@scripts/run-unit native $(UNIT) $(REPLAY)

check-tsan: $(UNIT_TSAN)
	@scripts/run-unit tsan $(UNIT_TSAN)

fuzz: $(FUZZ)
	@scripts/run-fuzz $(TIME) $(FUZZ)

# --- boot tests and everything else that runs in the emulated host ---
bed: $B/bed/.done

$B/bed/.done: tests/bed/build tests/bed/init $(wildcard guest/linux/*) | $B/need/build $B/need/boot
	@tests/bed/build
	@touch $@

# Helpers that run in the emulated host, and in its guests.
TOOLS		:= $(patsubst tests/bed/%.c,$B/tool/%,$(wildcard tests/bed/*.c))

# Bed and programs, for whoever boots: BOOT_TESTS=tests/boot/NAME.t runs only that.
# Those that take longest come first, or the last one would run alone.
LONG		:= virtio-all virtio-9p doorbell-gicv4 doorbell-uapi doorbell-6.1 reset doorbell kernel-series \
		   virtio-net virtio-blk passthrough pci-hostile
BOOT_TESTS	?= $(foreach name,$(LONG),$(wildcard tests/boot/$(name).t)) \
		   $(filter-out $(LONG:%=tests/boot/%.t),$(sort $(wildcard tests/boot/*.t)))
# Two hosts at a time: one alone leaves half of two cores idle.
check-boot: $B/lkvm $(GUEST_BIN) $B/bed/.done $(addprefix $B/bench/,count aio_read tcp) $(TOOLS)
	prove --jobs 2 --timer --failures --comments $(BOOT_TESTS)

# VMM=PATH:kvmtool puts another program that takes kvmtool's options beside; BENCH="boot size" takes
# only these groups of figures anew (tests/bench/run).
BENCH_PROGRAMS	:= $(addprefix $B/bench/,count null_vmm aio_read map_dma tcp lkvm-static)
bench: $B/lkvm $(GUEST_BIN) $B/bed/.done $(BENCH_PROGRAMS) | $B/need/bench
	@CROSS_COMPILE='$(CROSS_COMPILE)' VMM='$(VMM)' tests/bench/run $(BENCH)
	@tests/bench/table

# docs/performance.md, of the figures that `make bench` has left.
bench-report:
	@mkdir -p docs
	@tests/bench/report >$B/bench/performance.md
	@cp $B/bench/performance.md docs/performance.md

$B/bench/lkvm-static: $(OBJ) $B/flags-link
	@mkdir -p $(@D)
	$(call say,LD)
	$(link_static)

$B/tool/%: tests/bed/%.c Makefile | $B/need/build
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(COMMON) -O2 -static -o $@ $<
$B/bench/%: tests/bench/%.c Makefile | $B/need/build
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(COMMON) -O2 -static -o $@ $<

demo: $B/lkvm $B/bed/.done
	@tests/bed/demo

# --- the rest ---
lint: $(OBJ) | $(UAPI) $B/need/lint
	@CROSS_COMPILE='$(CROSS_COMPILE)' OBJECTS='$(ARM)' \
		NATIVE_FLAGS='$(filter-out -MMD -MP,$(NATIVE_FLAGS))' scripts/lint $(CHECKS)
	@wrong=$$(tests/lint/planted); [ -z "$$wrong" ] || { echo "$$wrong"; exit 1; }

# One after the other, whatever -j says: the boot tests want the machine for themselves. What is missing
# for any of them is said, or installed, before the first begins. What is only compiled may use all CPUs.
KERNEL_SERIES	:= $(patsubst kernel/patches-%,kernel-%,$(wildcard kernel/patches-*))
in_parallel	 = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
check:
	@scripts/need lint unit boot $(KERNEL_SERIES)
	$(MAKE) $(in_parallel) $(OBJ) $(UNIT) $(REPLAY) $(UNIT_TSAN)
	$(MAKE) lint
	$(MAKE) check-unit
	$(MAKE) check-boot

install: $B/lkvm
	install -D -m 755 $B/lkvm $(DESTDIR)$(PREFIX)/bin/lkvm
	install -D -m 644 lkvm.1 $(DESTDIR)$(PREFIX)/share/man/man1/lkvm.1

# What was downloaded, and the bed made of it, stay.
clean:
	rm -rf $(ARM) $B/native $B/tsan $B/fuzz $B/guest $B/log $B/lkvm $B/flags-* $B/version

distclean:
	rm -rf $B

help:
	@echo 'all         build/lkvm (default); STATIC=1 links libc into it, too'
	@echo 'check       lint, check-unit and check-boot'
	@echo 'check-unit  unit tests on this machine with sanitizers; check-tsan: with threads checked'
	@echo 'check-boot  end to end in the emulated host; BOOT_TESTS=tests/boot/NAME.t for one'
	@echo 'lint        what a program can say about the sources'
	@echo 'fuzz        fuzz each target for TIME=60 seconds'
	@echo 'bench       what lkvm costs, beside the limit, QEMU and VMM=PATH:kvmtool; bench-report: write it down'
	@echo 'demo        a guest with a disk and a network card passed through, in the emulated host'
	@echo 'bed         the emulated host itself; guest: bare-metal guests'
	@echo 'install     to DESTDIR and PREFIX=/usr/local'
	@echo 'clean       what was built; distclean: also what was downloaded'

-include $(shell find $(ARM) $B/native $B/tsan $B/fuzz $B/guest -name "*.d" -type f 2>/dev/null)
