/*
 * boot-mark: an init that does nothing but show that userspace runs. bench/boot-time.sh boots it as
 * init=/sbin/boot-mark: it writes one line to the first serial port, past the kernel's driver, which
 * a monitor's fastest command line leaves out, and resets the machine.
 */
#include <sys/io.h>
#include <sys/reboot.h>

#define COM1 0x3f8

int main(void)
{
	static const char text[] = "@UP@\n";

	if (iopl(3) == 0)
		for (const char *at = text; *at; at++)
			outb((unsigned char)*at, COM1);
	reboot(RB_AUTOBOOT);
	return 1;
}
