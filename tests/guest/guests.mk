# SPDX-License-Identifier: MIT
# The tiny guests of tests/guest: `make guests`, or alone `make -f tests/guest/guests.mk guests`.
# Each tests/guest/guests/NAME.c becomes build/tests/guest/NAME.elf.

O ?= build
GUEST_NAMES = $(basename $(notdir $(wildcard tests/guest/guests/*.c)))
GUEST_ELFS = $(GUEST_NAMES:%=$(O)/tests/guest/%.elf) $(O)/tests/guest/hostile.elf
# One guest of many files.
HOSTILE_OBJECTS = $(patsubst tests/guest/%,$(O)/tests/guest/%.o,$(wildcard tests/guest/hostile/*.c tests/guest/hostile/*.S))
GUEST_RT_SOURCES = $(wildcard tests/guest/rt/*.c tests/guest/rt/*.S)
GUEST_RT_OBJECTS = $(GUEST_RT_SOURCES:tests/guest/rt/%=$(O)/tests/guest/rt/%.o)
# No SSE: the KVM that emulates CPL 0 knows none of it. No idioms that call a C library.
GUEST_CFLAGS = -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-stack-protector -mno-red-zone \
	-mgeneral-regs-only -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns \
	-fcf-protection=none -Itests/guest -Wall -Wextra -Wshadow -Wconversion \
	-Wstrict-prototypes -Wmissing-prototypes -Werror
GUEST_LDFLAGS = -nostdlib -static -no-pie -Wl,-T,tests/guest/rt/guest.ld -Wl,--build-id=none \
	-Wl,-z,noexecstack -Wl,--no-warn-rwx-segments

guests: $(GUEST_ELFS) $(O)/tests/guest/fuse_disk

# A program of the host.
$(O)/tests/guest/fuse_disk: tests/guest/fuse_disk.c tests/unit/fuse_disk.h
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu11 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -O1 -o $@ $<

$(O)/tests/guest/hostile.elf: $(HOSTILE_OBJECTS) $(GUEST_RT_OBJECTS) tests/guest/rt/guest.ld
	$(Q)gcc $(GUEST_LDFLAGS) -o $@ $(filter %.o,$^)

$(O)/tests/guest/%.elf: $(O)/tests/guest/guests/%.c.o $(GUEST_RT_OBJECTS) tests/guest/rt/guest.ld
	$(Q)gcc $(GUEST_LDFLAGS) -o $@ $(filter %.o,$^)

$(O)/tests/guest/%.o: tests/guest/%
	@mkdir -p $(@D)
	$(Q)gcc $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

.PHONY: guests
.SECONDARY:
-include $(GUEST_RT_OBJECTS:.o=.d) $(HOSTILE_OBJECTS:.o=.d) $(GUEST_NAMES:%=$(O)/tests/guest/guests/%.c.d)
