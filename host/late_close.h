/* Closing a descriptor without waiting for what the host does then. */
#ifndef HOST_LATE_CLOSE_H
#define HOST_LATE_CLOSE_H

/* Gives up `fd`, whose file the host releases soon after this process has ended. Destroying a VM takes the host tens
 * of milliseconds of RCU and SRCU grace periods, which close(), or the exit of the process, would wait for. Where
 * the host makes no io_uring any more, that is what happens. */
void late_close(int fd);

#endif
