/*
 * save.h: a file that is written from its start to its end, at the end of the process.
 *
 * Nothing here allocates or locks, and errno stays. Functions return 0 or an errno.
 */
#ifndef PHK_SAVE_H
#define PHK_SAVE_H

#include "base/base.h"

/* Makes the file, or empties it; *fd is for the others. */
int save_open(const char *path, int *fd);
int save_write(int fd, const void *bytes, size_t nbytes);
/* Appends the whole of another file. */
int save_copy(int fd, const char *path);
/* Closes it, and takes it away if something was wrong (`error` of an earlier call). */
int save_close(int fd, const char *path, int error);

#endif
