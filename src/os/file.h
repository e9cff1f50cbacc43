/*
 * file.h: files that the process writes by mapping them, whatever the program does meanwhile.
 *
 * A program may close descriptors it knows nothing of and open its own under their numbers, change
 * its folder, its root and its user. So a file is told apart by more than its number each time.
 * Nothing here allocates, locks or changes errno; thread-safe on different files.
 */
#ifndef PHK_FILE_H
#define PHK_FILE_H

#include "base/base.h"

#define FILE_PATH_MAX 4096

struct file {
	int fd;                   /* -1: none */
	uint64_t device;
	uint64_t inode;
	char path[FILE_PATH_MAX]; /* from the root */
};

/*
 * Opens a file to read and write, or makes it with these first bytes; who opens it never sees it
 * without them. EINVAL when there is one that does not start with the first `same` of them. Returns
 * 0 or an errno.
 */
int file_open(struct file *f, const char *path, const void *start, size_t nbytes, size_t same);
/* The descriptor, opened anew if the program closed it; -1 when it cannot be had. */
int file_descriptor(struct file *f);
/* Makes sure that the disk has room for these bytes of the file. Returns 0 or an errno. */
int file_extend(struct file *f, uint64_t offset, size_t nbytes);
/* What an errno means, in a few words. */
const char *file_problem(int error);

#endif
