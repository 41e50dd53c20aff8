# SPDX-License-Identifier: MIT
# The programs of the Linux tests, for host and guest: static. They are built here because a compiler takes
# half a minute in the lab.

LINUX_PROGRAMS = durable_disk durable_guest net_peer net_tap snapshot_clock snapshot_mark vsock_peer zero_range

linux-programs: $(LINUX_PROGRAMS:%=$(O)/tests/linux/%) $(O)/tests/linux/vsock_test-host

$(O)/tests/linux/durable_guest: tests/linux/durable_beside.c tests/linux/durable_guest.h tests/linux/durable_format.h
$(O)/tests/linux/net_peer: tests/linux/net_stream.c tests/linux/net_stream.h
$(O)/tests/linux/vsock_peer: tests/linux/vsock_servers.c tests/linux/vsock_clients.c tests/linux/vsock_peer.h
$(O)/tests/linux/%: tests/linux/%.c Makefile tests/linux/programs.mk
	@mkdir -p $(@D)
	@echo "  TEST $<"
	$(Q)$(MUSL_GCC) $(BASE_CFLAGS) $(SYSTEM_INCLUDES) -O2 -static -s -o $@ $(filter %.c,$^)

# Linux's own test, from the package that the guest's kernel is made of.
$(O)/tests/linux/vsock_test-host: tests/linux/vsock_test_build.bash tests/linux/vsock_bridge.c | deps-guest
	@echo "  TEST vsock_test"
	$(Q)tests/linux/vsock_test_build.bash $(@D)

.PHONY: linux-programs
