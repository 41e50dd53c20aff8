# vmm: `make` builds ./vmm, `make run` boots a guest, `make test` runs the tests. See README.md.
# `make V=1` shows the commands.

VMM_SOURCES = \
	vmm.c machine/set_up.c machine/inputs.c machine/vm.c machine/devices.c machine/finish.c \
	config/options.c config/device_options.c config/descriptors.c config/machine_plan.c \
	mem/guest_memory.c \
	boot/kernel_image.c boot/bzimage.c boot/elf.c boot/boot_params.c boot/mptable.c boot/acpi.c boot/aml.c \
	boot/reset_vector.c \
	irq/irqchip.c irq/irq_line.c \
	cpu/cpuid.c cpu/boot_state.c cpu/vcpu.c \
	virtio-mmio/iov.c virtio-mmio/queue.c virtio-mmio/virtio_device.c virtio-mmio/transport.c \
	virtio-mmio/block.c virtio-mmio/block_request.c virtio-mmio/block_image.c virtio-mmio/block_look.c \
	virtio-mmio/block_workers.c \
	virtio-mmio/disks.c virtio-mmio/net.c virtio-mmio/net_rx.c virtio-mmio/net_tx.c \
	virtio-mmio/rx_pool.c virtio-mmio/vsock/vsock.c virtio-mmio/vsock/tx.c \
	virtio-mmio/vsock/rx.c virtio-mmio/vsock/listen.c virtio-mmio/vsock/connection.c \
	virtio-mmio/vsock/socket.c virtio-mmio/vsock/stream.c virtio-mmio/vsock/table.c virtio-mmio/vsock/backlog.c \
	io/bus.c io/serial.c io/console.c io/keyboard.c io/reset_port.c io/cmos.c io/sleep_port.c io/boot_timer.c io/doorbell.c \
	host/fail.c host/status_report.c host/file.c host/kvm.c host/ring.c host/exit_request.c host/signals.c \
	host/terminal.c host/tap.c host/listen_socket.c host/release.c host/late_close.c host/write_within.c
UNIT_TESTS = $(basename $(notdir $(wildcard tests/unit/*.c)))
LINT_FILES = vmm.c $(wildcard machine/*.[ch] config/*.[ch] mem/*.[ch] boot/*.[ch] irq/*.[ch] cpu/*.[ch] \
	virtio-mmio/*.[ch] virtio-mmio/*/*.[ch] io/*.[ch] host/*.[ch] guest/*.[ch] lab/*.[ch] tests/*/*.[ch] tests/guest/*/*.[ch])
TSAN_TESTS = $(basename $(notdir $(wildcard tests/tsan/*.c)))
FUZZERS = $(basename $(notdir $(wildcard tests/fuzz/*.c)))

MUSL_GCC = musl-gcc
CLANG = clang
# KVM's ioctls take a head with a flexible array, which our structs follow with a real one; musl and
# glibc disagree about the sign of an ioctl's number.
CLANG_CFLAGS = $(BASE_CFLAGS) -Wno-gnu-variable-sized-type-not-at-end -Wno-sign-conversion
WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wformat=2 -Werror
# The kernel's and liburing's headers come after musl's own.
SYSTEM_INCLUDES = -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu
CFLAGS = -O2 -g
BASE_CFLAGS = -std=gnu11 -D_GNU_SOURCE -I. $(WARNINGS)
VMM_CFLAGS = $(BASE_CFLAGS) $(SYSTEM_INCLUDES) \
	-fPIE -fstack-protector-strong -ffunction-sections -fdata-sections $(CFLAGS)
# The fences order what the guest sees, not the monitor's threads.
TSAN = -fsanitize=thread -fPIE -pie -Wno-tsan
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all

# musl-gcc has no -static-pie: the start files are named here instead.
MUSL_LIB = /usr/lib/x86_64-linux-musl
GCC_LIB = $(dir $(shell gcc -print-libgcc-file-name))
VMM_LDFLAGS = -static -nostartfiles -Wl,-pie -Wl,--no-dynamic-linker -Wl,-z,text -Wl,-z,relro \
	-Wl,-z,now -Wl,-z,noexecstack -Wl,--gc-sections -Wl,--build-id=none
VMM_START = $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o $(GCC_LIB)crtbeginS.o
VMM_END = /usr/lib/x86_64-linux-gnu/liburing.a $(GCC_LIB)crtendS.o $(MUSL_LIB)/crtn.o

VMM_OBJECTS = $(VMM_SOURCES:%.c=build/vmm/%.o)
TEST_OBJECTS = $(filter-out build/asan/vmm.o,$(VMM_SOURCES:%.c=build/asan/%.o))
FUZZ_OBJECTS = $(TEST_OBJECTS:build/asan/%=build/fuzz/%)
TSAN_OBJECTS = $(VMM_SOURCES:%.c=build/tsan/%.o)
GCOV_OBJECTS = $(TEST_OBJECTS:build/asan/%=build/gcov/%)
PREFIX = /usr/local
Q = $(if $(V),,@)

all: vmm

vmm: build/vmm/vmm.debug
	$(Q)strip -o $@ $<

build/vmm/vmm.debug: $(VMM_OBJECTS)
	@echo "  LINK vmm"
	$(Q)$(MUSL_GCC) $(VMM_LDFLAGS) -o $@ $(VMM_START) $(VMM_OBJECTS) $(VMM_END)

build/vmm/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(MUSL_GCC) $(VMM_CFLAGS) -MMD -MP -c -o $@ $<

# The same sources for the unit tests and the fuzzers: on glibc, because the sanitizers need it.
build/asan/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)gcc $(BASE_CFLAGS) -Wno-conversion $(SANITIZE) -O1 -g -MMD -MP -c -o $@ $<

# And under ThreadSanitizer, which wants its own.
build/tsan/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)gcc $(BASE_CFLAGS) -Wno-conversion $(TSAN) -O1 -g -MMD -MP -c -o $@ $<

build/tsan/vmm: $(TSAN_OBJECTS)
	@echo "  LINK $@"
	$(Q)gcc $(TSAN) -o $@ $^ -l:liburing.a -lpthread

build/tests/tsan/%: tests/tsan/%.c $(filter-out build/tsan/vmm.o,$(TSAN_OBJECTS))
	@mkdir -p $(@D)
	@echo "  TSAN $<"
	$(Q)gcc $(BASE_CFLAGS) -Wno-conversion $(TSAN) -O1 -g -MMD -MP -MF $@.d -o $@ $< \
		$(filter-out build/tsan/vmm.o,$(TSAN_OBJECTS)) -l:liburing.a -lpthread

build/tests/unit/%: tests/unit/%.c $(TEST_OBJECTS)
	@mkdir -p $(@D)
	@echo "  TEST $<"
	$(Q)gcc $(BASE_CFLAGS) -Wno-conversion $(SANITIZE) -O1 -g -MMD -MP -MF $@.d -o $@ $< \
		$(TEST_OBJECTS) -l:liburing.a -lpthread

build/fuzz/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(CLANG_CFLAGS) -Wno-conversion $(SANITIZE) -fsanitize=fuzzer-no-link -O1 -g -MMD -MP -c -o $@ $<

build/tests/fuzz/%: tests/fuzz/%.c $(FUZZ_OBJECTS)
	@mkdir -p $(@D)
	@echo "  FUZZ $<"
	$(Q)$(CLANG) $(CLANG_CFLAGS) -Wno-conversion $(SANITIZE) -fsanitize=fuzzer -O1 -g -MMD -MP -MF $@.d -o $@ $< \
		$(FUZZ_OBJECTS) -l:liburing.a -lpthread

# The fuzzers once more, to count the lines that a corpus executes.
build/gcov/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)gcc $(BASE_CFLAGS) -Wno-conversion --coverage -O0 -MMD -MP -c -o $@ $<

build/tests/gcov/%: tests/fuzz/%.c $(GCOV_OBJECTS)
	@mkdir -p $(@D)
	@echo "  GCOV $<"
	$(Q)gcc $(BASE_CFLAGS) -Wno-conversion -DFUZZ_REPLAY -O1 -MMD -MP -MF $@.d -o $@ $< \
		$(GCOV_OBJECTS) --coverage -l:liburing.a -lpthread

test: deps-test vmm guest guest-debian test-programs
	$(Q)tests/run $(T)

test-programs: $(UNIT_TESTS:%=build/tests/unit/%) $(FUZZERS:%=build/tests/fuzz/%) \
	$(FUZZERS:%=build/tests/gcov/%) $(TSAN_TESTS:%=build/tests/tsan/%) build/tsan/vmm guests linux-programs bench-programs \
	build/tests/reaper

build/tests/reaper: tests/tool/reaper.c
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
		$(CLANG_CFLAGS) 2>build/clang-tidy.log # only counts suppressed warnings there
	$(Q)cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --suppress=ctuuninitvar:host/fail.c --std=c11 -D_GNU_SOURCE -I. $(VMM_SOURCES)

check: lint test

# Debian's packages, by name; nothing happens when they are there.
define install-packages
	@missing=$$(for package in $(1); do \
		dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | \
			grep -qx installed || echo $$package; done); \
	if [ -n "$$missing" ]; then \
		echo "installing:" $$missing; \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
			--no-install-recommends $$missing >/dev/null; } || \
		{ echo "make: cannot install" $$missing "(root is needed)" >&2; exit 1; }; \
	fi
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
	$(call install-packages,clang libclang-rt-14-dev e2fsprogs python3 util-linux dmsetup iproute2 \
		socat gnuplot-nox fio mandoc zsh acpica-tools bzip2 lzop xz-utils zstd)

deps-lint: deps
	$(call install-packages,clang clang-format clang-tidy cppcheck)

clean:
	rm -rf build vmm

.PHONY: all install clean test test-programs guest guest-debian run lint check deps deps-guest deps-lab deps-test \
	deps-lint
.SECONDARY:
-include $(VMM_OBJECTS:.o=.d) $(TEST_OBJECTS:.o=.d) $(FUZZ_OBJECTS:.o=.d) $(GCOV_OBJECTS:.o=.d) \
	$(TSAN_OBJECTS:.o=.d)
-include $(wildcard build/tests/unit/*.d build/tests/fuzz/*.d build/tests/gcov/*.d build/tests/tsan/*.d)
include tests/guest/guests.mk
include tests/linux/programs.mk
include bench/bench.mk
include packaging.mk
