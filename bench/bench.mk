# SPDX-License-Identifier: MIT
# The programs of the benches: `make bench-programs`. They are static, on musl as vmm is; guests are ELF files that
# any monitor loads. bench/NAME.c is a program, and bench/guests/NAME.S a guest, by being named here.

BENCH_PROGRAMS = \
	launcher \
	floor \
	fleet \
	io_peer \
	clone_mark
BENCH_GUESTS = \
	start \
	halt
# Guests in C, on the library of tests/guest.
BENCH_RT_GUESTS = \
	blk_bench \
	clone \
	net_bench \
	vsock_bench
LINT_FILES += $(wildcard bench/*.[ch] bench/guests/*.[ch])

bench-programs: $(BENCH_PROGRAMS:%=$(O)/bench/%) $(BENCH_GUESTS:%=$(O)/bench/%.elf) \
	$(BENCH_RT_GUESTS:%=$(O)/bench/%.elf)

$(O)/bench/launcher $(O)/bench/fleet: bench/order.h bench/process_memory.h
$(O)/bench/floor: cpu/vcpu_state.h irq/irqchip_state.h snapshot/file.h
$(O)/bench/%: bench/%.c Makefile bench/bench.mk
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	$(Q)$(MUSL_GCC) $(BASE_CFLAGS) $(SYSTEM_INCLUDES) -O2 -static -s -o $@ $<

$(O)/bench/%.elf: bench/guests/%.S Makefile bench/bench.mk
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	$(Q)gcc -nostdlib -static -no-pie -Wl,-Ttext=0x100000 -Wl,-N -Wl,--no-warn-rwx-segments -Wl,--build-id=none -s -o $@ $<

$(BENCH_RT_GUESTS:%=$(O)/bench/%.elf): $(O)/bench/%.elf: bench/guests/%.c bench/guests/io_bench.h \
		$(GUEST_RT_OBJECTS) tests/guest/rt/guest.ld Makefile bench/bench.mk
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	$(Q)gcc $(GUEST_CFLAGS) -Ibench/guests $(GUEST_LDFLAGS) -o $@ $< $(GUEST_RT_OBJECTS)

# All of them; PEERS is a folder with monitors that Debian does not package. Takes the machine for itself.
bench: deps-bench deps-guest deps-lab vmm guest guests bench-programs
	$(Q)bench/report $(if $(PEERS),--peers "$(PEERS)")

deps-bench: deps
	$(call install-packages,e2fsprogs fio gnuplot-nox iproute2 python3 qemu-system-x86 util-linux)

.PHONY: bench bench-programs deps-bench
