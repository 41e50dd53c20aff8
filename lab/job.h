/* SPDX-License-Identifier: MIT */
/*
 * The content of a JOB frame: NUL-terminated strings, each a letter and a value, in any order
 * except that arguments keep theirs.
 */
#ifndef LAB_JOB_H
#define LAB_JOB_H

#define JOB_ARGUMENT    'A' /* next argument of the command */
#define JOB_ENVIRONMENT 'E' /* NAME=value */
#define JOB_DIRECTORY   'D' /* working directory, absolute */
#define JOB_WRITABLE                                                                               \
	'W' /* directory whose changes reach the host, absolute and free of symbolic links */
#define JOB_COPY      'C' /* file to copy into JOB_COPY_DIR before the command starts */
#define JOB_MODULES   'M' /* host directory holding the kernel's modules, absolute */
#define JOB_CLOCK     'K' /* host time, "seconds.nanoseconds"; absent: leave the clock alone */
#define JOB_TERMINAL  'T' /* stdin and stdout are a terminal, "rows columns" */
#define JOB_ERR_APART 'X' /* with JOB_TERMINAL: stderr is something else */
#define JOB_NO_INPUT  'N' /* stdin is empty: give the command /dev/null */

#define JOB_COPY_DIR "/run/lab"

#endif
