# SPDX-License-Identifier: MIT
# vmm: `make` builds ./vmm, `make run` boots a guest, `make test` runs the tests. See README.md.
#
#   CC=clang                       vmm's compiler: any gcc or clang, made for musl or not (default: musl-gcc)
#   CFLAGS, CPPFLAGS, LDFLAGS      yours, beside those that vmm needs (default: -O2 -g)
#   WERROR=0                       a warning is no error
#   V=1                            shows the commands
#   O=DIR                          builds everything in DIR, vmm included (default: build, and ./vmm)
#   PREFIX=/usr, DESTDIR=DIR       make install

O = build
VMM = $(if $(filter build,$(O)),vmm,$(O)/vmm)
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
ifeq ($(origin CC),default)
CC = musl-gcc
endif

VMM_SOURCES = \
	vmm.c machine/set_up.c machine/inputs.c machine/nics.c machine/vm.c machine/devices.c machine/finish.c machine/count.c machine/check.c machine/control.c machine/pause.c machine/rest.c machine/confine.c machine/snapshot.c machine/snapshot_plan.c machine/rehearsal.c machine/snapshot_devices.c machine/restore.c \
	snapshot/file.c snapshot/memory.c snapshot/touched.c snapshot/working_set.c \
	config/options.c config/option_checks.c config/machine_options.c config/device_options.c config/descriptors.c config/machine_plan.c config/start_order.c \
	mem/guest_memory.c \
	boot/kernel_load.c boot/place.c boot/bzimage.c boot/elf.c boot/boot_params.c boot/mptable.c boot/acpi.c boot/aml.c \
	boot/reset_vector.c boot/smbios.c boot/ibft.c \
	irq/irqchip.c irq/irq_line.c irq/irqchip_state.c \
	cpu/msr_list.c cpu/vcpu_state.c cpu/cpuid.c cpu/cpuid_shown.c cpu/boot_state.c cpu/vcpu.c \
	virtio-mmio/iov.c virtio-mmio/queue.c virtio-mmio/virtio_device.c virtio-mmio/transport.c virtio-mmio/queue_registers.c virtio-mmio/transport_state.c \
	virtio-mmio/block.c virtio-mmio/block_request.c virtio-mmio/block_image.c virtio-mmio/block_look.c \
	virtio-mmio/block_lanes.c virtio-mmio/block_step.c virtio-mmio/block_overlay.c virtio-mmio/overlay_file.c \
	virtio-mmio/disks.c virtio-mmio/block_state.c virtio-mmio/net.c virtio-mmio/net_rx.c virtio-mmio/net_tx.c virtio-mmio/net_header.c virtio-mmio/net_link.c virtio-mmio/net_frame.c virtio-mmio/net_stream.c virtio-mmio/byte_ring.c \
	virtio-mmio/rx_pool.c virtio-mmio/vsock/vsock.c virtio-mmio/vsock/vsock_state.c virtio-mmio/net_state.c virtio-mmio/vsock/tx.c \
	virtio-mmio/vsock/rx.c virtio-mmio/vsock/listen.c virtio-mmio/vsock/connection.c \
	virtio-mmio/vsock/socket.c virtio-mmio/vsock/stream.c virtio-mmio/vsock/buffer.c virtio-mmio/vsock/table.c virtio-mmio/vsock/backlog.c virtio-mmio/vsock/target.c \
	io/bus.c io/serial.c io/console.c io/console_state.c io/keyboard.c io/reset_port.c io/exit_port.c io/cmos.c io/sleep_port.c io/boot_timer.c io/identity.c io/doorbell.c \
	host/clock.c host/error.c host/errno_name.c host/message.c host/text.c host/fail.c host/status_report.c host/event_line.c host/json.c host/counters.c host/file.c host/kvm.c host/ring.c host/event.c \
	host/exit_request.c host/gate.c host/control_socket.c host/control_client.c host/lifeline.c host/socket.c host/signals.c host/signal_events.c \
	host/terminal.c host/tap.c host/frame_socket.c host/listen_socket.c host/release.c host/late_close.c host/write_within.c host/sandbox.c host/seccomp.c
UNIT_TESTS = $(basename $(notdir $(wildcard tests/unit/*.c)))
LINT_FILES = vmm.c $(wildcard machine/*.[ch] snapshot/*.[ch] config/*.[ch] mem/*.[ch] boot/*.[ch] irq/*.[ch] cpu/*.[ch] \
	virtio-mmio/*.[ch] virtio-mmio/*/*.[ch] io/*.[ch] host/*.[ch] guest/*.[ch] lab/*.[ch] tests/*/*.[ch] tests/guest/*/*.[ch] tests/fuzz/*/*.[ch])
TSAN_TESTS = $(basename $(notdir $(wildcard tests/tsan/*.c)))
FUZZERS = $(basename $(notdir $(wildcard tests/fuzz/*.c)))

# For the tests and the benches.
MUSL_GCC = musl-gcc
CLANG = clang
# KVM's ioctls take a head with a flexible array, which our structs follow with a real one.
CLANG_WARNINGS = -Wno-gnu-variable-sized-type-not-at-end
# musl and glibc disagree about the sign of an ioctl's number.
CLANG_CFLAGS = $(BASE_CFLAGS) $(CLANG_WARNINGS) -Wno-sign-conversion
WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wformat=2 $(if $(filter 0,$(WERROR)),,-Werror)
BASE_CFLAGS = -std=gnu11 -D_GNU_SOURCE -I. $(WARNINGS)
# The kernel's and liburing's headers come after musl's own.
SYSTEM_INCLUDES = -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu
# The binary does not depend on where it is built. Nothing unwinds its stack: debuggers have .debug_frame in vmm.debug.
VMM_CFLAGS = $(CPPFLAGS) $(CFLAGS) $(BASE_CFLAGS) $(MUSL_INCLUDES) $(SYSTEM_INCLUDES) $(if $(findstring clang,$(CC)),$(CLANG_WARNINGS)) \
	"-ffile-prefix-map=$(CURDIR)=." -fPIE -fstack-protector-strong -ffunction-sections -fdata-sections \
	-fno-asynchronous-unwind-tables
VMM_LDFLAGS = -Wl,-z,text -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--gc-sections -Wl,--build-id=none -Wl,-T,discard.ld
LIBURING = /usr/lib/x86_64-linux-gnu/liburing.a
# A compiler made for musl knows where that is. For all others Debian's files are named; musl-gcc is one of them, because
# it cannot link a static-pie.
ifneq ($(findstring musl,$(shell $(CC) -dumpmachine 2>/dev/null)),)
VMM_LDFLAGS += -static-pie
VMM_END = $(LIBURING)
else
MUSL_LIB = /usr/lib/x86_64-linux-musl
MUSL_INCLUDES = -isystem /usr/include/x86_64-linux-musl
VMM_LDFLAGS += -nostdlib -static -Wl,-pie -Wl,--no-dynamic-linker
VMM_START = $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o $(shell $(CC) -print-file-name=crtbeginS.o)
VMM_END = $(LIBURING) $(MUSL_LIB)/libc.a $(shell $(CC) -print-libgcc-file-name) \
	$(shell $(CC) -print-file-name=crtendS.o) $(MUSL_LIB)/crtn.o
endif
# The fences order what the guest sees, not the monitor's threads.
TSAN = -fsanitize=thread -fPIE -pie -Wno-tsan
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all

VMM_OBJECTS = $(VMM_SOURCES:%.c=$(O)/obj/%.o)
TEST_OBJECTS = $(filter-out $(O)/asan/vmm.o,$(VMM_SOURCES:%.c=$(O)/asan/%.o))
FUZZ_OBJECTS = $(TEST_OBJECTS:$(O)/asan/%=$(O)/fuzz/%)
TSAN_OBJECTS = $(VMM_SOURCES:%.c=$(O)/tsan/%.o)
COV_OBJECTS = $(TEST_OBJECTS:$(O)/asan/%=$(O)/cov/%)
Q = $(if $(filter-out 0,$(V)),,@)

all: $(VMM)

ifneq ($(VMM),vmm)
vmm: $(VMM)
.PHONY: vmm
endif

$(VMM): $(O)/vmm.debug
	$(Q)strip -o $@ $<

$(O)/vmm.debug: $(VMM_OBJECTS) discard.ld
	@echo "  LINK $(VMM)"
	$(Q)$(CC) $(CFLAGS) $(VMM_LDFLAGS) $(LDFLAGS) -o $@ $(VMM_START) $(VMM_OBJECTS) $(VMM_END)

# The monitor with an attacker inside: its own objects, and one more that is linked before some of their functions.
HOOKED = exit_request_status seccomp_enter seccomp_prepare ring_start io_uring_register_restrictions
$(O)/tests/vmm-hook: $(O)/obj/tests/guest/sandbox_hook.o $(VMM_OBJECTS) discard.ld
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(VMM_LDFLAGS) $(LDFLAGS) $(HOOKED:%=-Wl,--wrap=%) -o $@ \
		$(VMM_START) $< $(VMM_OBJECTS) $(VMM_END)

# What serves the guest is built for speed; what runs once, or says what went wrong, for size.
HOT = mem/% irq/irq_line.c cpu/vcpu.c io/bus.c io/serial.c host/ring.c \
	virtio-mmio/iov.c virtio-mmio/queue.c virtio-mmio/virtio_device.c virtio-mmio/block.c virtio-mmio/block_request.c virtio-mmio/block_lanes.c \
	virtio-mmio/block_step.c virtio-mmio/block_overlay.c virtio-mmio/net_rx.c virtio-mmio/net_tx.c virtio-mmio/net_header.c virtio-mmio/net_frame.c \
	virtio-mmio/net_stream.c virtio-mmio/byte_ring.c virtio-mmio/rx_pool.c virtio-mmio/vsock/tx.c virtio-mmio/vsock/rx.c virtio-mmio/vsock/connection.c virtio-mmio/vsock/socket.c \
	virtio-mmio/vsock/stream.c virtio-mmio/vsock/buffer.c virtio-mmio/vsock/table.c
COLD = $(filter-out $(HOT),$(VMM_SOURCES))
$(COLD:%.c=$(O)/obj/%.o): VMM_CFLAGS += $(if $(filter -O2 -O3,$(CFLAGS)),-Os)

$(O)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(VMM_CFLAGS) -MMD -MP -c -o $@ $<

# The same sources for the unit tests and the fuzzers: on glibc, because the sanitizers need it.
$(O)/asan/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)gcc $(BASE_CFLAGS) -Wno-conversion $(SANITIZE) -O1 -g -MMD -MP -c -o $@ $<

# And under ThreadSanitizer, which wants its own.
$(O)/tsan/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)gcc $(BASE_CFLAGS) -Wno-conversion $(TSAN) -O1 -g -MMD -MP -c -o $@ $<

$(O)/tsan/vmm: $(TSAN_OBJECTS)
	@echo "  LINK $@"
	$(Q)gcc $(TSAN) -o $@ $^ -l:liburing.a -lpthread

$(O)/tests/tsan/%: tests/tsan/%.c $(filter-out $(O)/tsan/vmm.o,$(TSAN_OBJECTS))
	@mkdir -p $(@D)
	@echo "  TSAN $<"
	$(Q)gcc $(BASE_CFLAGS) -Wno-conversion $(TSAN) -O1 -g -MMD -MP -MF $@.d -o $@ $< \
		$(filter-out $(O)/tsan/vmm.o,$(TSAN_OBJECTS)) -l:liburing.a -lpthread

$(O)/tests/unit/%: tests/unit/%.c $(TEST_OBJECTS)
	@mkdir -p $(@D)
	@echo "  TEST $<"
	$(Q)gcc $(BASE_CFLAGS) -Wno-conversion $(SANITIZE) -O1 -g -MMD -MP -MF $@.d -o $@ $< \
		$(TEST_OBJECTS) -l:liburing.a -lpthread

$(O)/fuzz/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(CLANG_CFLAGS) -Wno-conversion $(SANITIZE) -fsanitize=fuzzer-no-link -fno-sanitize-coverage=trace-cmp -O1 -g -MMD -MP -c -o $@ $<

# From an archive: a fuzzer has only what it calls, so that there are fewer counters to look through after each input.
$(O)/fuzz/vmm.a: $(FUZZ_OBJECTS)
$(O)/cov/vmm.a: $(COV_OBJECTS)
$(O)/fuzz/vmm.a $(O)/cov/vmm.a:
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

$(O)/tests/fuzz/%: tests/fuzz/%.c $(O)/fuzz/vmm.a
	@mkdir -p $(@D)
	@echo "  FUZZ $<"
	$(Q)$(CLANG) $(CLANG_CFLAGS) -Wno-conversion $(SANITIZE) -fsanitize=fuzzer -fno-sanitize-coverage=trace-cmp -O1 -g -MMD -MP -MF $@.d -o $@ $< \
		$(O)/fuzz/vmm.a -l:liburing.a -lpthread $(MODELLED)

# These run in a model of the host (tests/fuzz/model), which has calls of the kernel's, and records what is written to guest memory.
$(foreach name,block net net_stream vsock device_state,$(O)/tests/fuzz/$(name) $(O)/tests/cov/fuzz/$(name)): \
	MODELLED = $(foreach what,at write copy,-Wl,--wrap=guest_memory_$(what))
# And these end an input where the monitor ends (tests/fuzz/failing.h).
$(foreach name,snapshot_order snapshot_restore,$(O)/tests/fuzz/$(name) $(O)/tests/cov/fuzz/$(name)): \
	MODELLED = $(foreach what,option errno quietly,-Wl,--wrap=fail_$(what))

# The fuzzers and the unit tests once more, to count the lines that they execute (tests/fuzz/lib.bash).
COVERAGE = $(CLANG) $(CLANG_CFLAGS) -Wno-conversion -fprofile-instr-generate -fcoverage-mapping -O1 -DFUZZ_REPLAY

$(O)/cov/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(COVERAGE) -MMD -MP -c -o $@ $<

$(O)/tests/cov/%: tests/%.c $(O)/cov/vmm.a
	@mkdir -p $(@D)
	@echo "  COV $<"
	$(Q)$(COVERAGE) -MMD -MP -MF $@.d -o $@ $< \
		$(if $(MODELLED),$(O)/cov/vmm.a,$(COV_OBJECTS)) -l:liburing.a -lpthread $(MODELLED)

# What runs, and not only builds, finds its files in the tree.
test run bench guest guest-debian: no-other-folder
no-other-folder:
	@[ "$(O)" = build ] || { echo "make: O=$(O) is for building: test, run, bench and guest use ./vmm and build" >&2; exit 1; }

test: deps-test vmm guest guest-debian test-programs
	$(Q)tests/run $(T)

# All fuzzers, from the corpus of the last time on (tests/fuzz/all).
MINUTES = 10
fuzz: no-other-folder deps-test $(FUZZERS:%=$(O)/tests/fuzz/%) coverage-programs
	$(Q)tests/fuzz/all $(MINUTES)

coverage: no-other-folder deps-test coverage-programs
	$(Q)tests/fuzz/coverage

coverage-programs: $(FUZZERS:%=$(O)/tests/cov/fuzz/%) $(UNIT_TESTS:%=$(O)/tests/cov/unit/%)

test-programs: $(UNIT_TESTS:%=$(O)/tests/unit/%) $(FUZZERS:%=$(O)/tests/fuzz/%) \
	$(FUZZERS:%=$(O)/tests/cov/fuzz/%) $(TSAN_TESTS:%=$(O)/tests/tsan/%) $(O)/tsan/vmm guests linux-programs bench-programs \
	$(O)/tests/reaper $(O)/tests/vmm-hook

$(O)/tests/reaper: tests/tool/reaper.c
	@mkdir -p $(@D)
	$(Q)gcc $(BASE_CFLAGS) -O2 -o $@ $<

guest: deps-guest
	$(Q)guest/build.sh all

# Debian's own kernels, as packages have them.
guest-debian: deps-guest
	$(Q)guest/build.sh $(foreach kernel,debian debian-backports debian-amd64, \
		vmlinux-$(kernel) bzImage-$(kernel) config-$(kernel) initrd-$(kernel).cpio)

run: deps deps-guest deps-lab vmm
	$(Q)guest/run.sh $(KERNEL)

# Everything that reads the sources without running them.
lint: deps-lint
	$(Q)clang-format --dry-run -Werror $(LINT_FILES)
	$(Q)for source in $(VMM_SOURCES); do \
		$(CLANG) $(CLANG_CFLAGS) -fsyntax-only $$source || exit 1; done
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $(VMM_SOURCES) -- \
		$(CLANG_CFLAGS) 2>$(O)/clang-tidy.log # only counts suppressed warnings there
	$(Q)cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --suppress=ctuuninitvar:host/error.c --std=c11 -D_GNU_SOURCE -I. $(VMM_SOURCES)

check: lint test

# Debian's packages, by name; nothing happens when they are there. Elsewhere nobody knows what is.
define install-packages
	@command -v dpkg-query >/dev/null || exit 0; \
	missing=$$(for package in $(1); do \
		dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | \
			grep -qx installed || echo $$package; done); \
	[ -n "$$missing" ] || exit 0; \
	[ "$$(id -u)" = 0 ] || { echo "make: run this as root first: apt-get install" $$missing >&2; exit 1; }; \
	echo "installing:" $$missing; \
	{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
		--no-install-recommends $$missing >/dev/null; } || { echo "make: cannot install" $$missing >&2; exit 1; }
endef

deps:
	$(call install-packages,gcc binutils libc6-dev musl-tools liburing-dev linux-libc-dev)

deps-guest:
	$(call install-packages,$(shell guest/build.sh --deps))

# QEMU is only needed where this machine's KVM cannot run Linux.
deps-lab: deps
	$(call install-packages,$(shell lab/lab --check 2>/dev/null | grep -q ^direct || \
		lab/lab --deps))

deps-test: deps deps-lab
	$(call install-packages,clang libclang-rt-14-dev llvm e2fsprogs python3 util-linux dmsetup iproute2 \
		socat passt gnuplot-nox fio mandoc zsh acpica-tools bzip2 lzop xz-utils zstd runc python3-seccomp \
		munge slurm-client slurmctld slurmd systemd)

deps-lint: deps
	$(call install-packages,clang clang-format clang-tidy cppcheck)

# A folder of the user's keeps what is not ours.
clean:
	rm -rf $(filter build,$(O)) $(VMM) $(addprefix $(O)/,asan bench cov deb fuzz obj tests tsan clang-tidy.log vmm.debug vmm-*.tar.gz vmm_*.deb)

.PHONY: all install clean no-other-folder test test-programs fuzz coverage coverage-programs guest guest-debian run lint check \
	deps deps-guest deps-lab deps-test deps-lint
.SECONDARY:
-include $(VMM_OBJECTS:.o=.d) $(TEST_OBJECTS:.o=.d) $(FUZZ_OBJECTS:.o=.d) $(COV_OBJECTS:.o=.d) \
	$(TSAN_OBJECTS:.o=.d)
-include $(O)/obj/tests/guest/sandbox_hook.d $(wildcard $(O)/tests/unit/*.d $(O)/tests/fuzz/*.d $(O)/tests/cov/*/*.d $(O)/tests/tsan/*.d)
include tests/guest/guests.mk
include tests/linux/programs.mk
include bench/bench.mk
include packaging.mk
