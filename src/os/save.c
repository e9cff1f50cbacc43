/*
 * save.c: see save.h. No state.
 */
#include "os/save.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int
save_open(const char *path, int *fd)
{
	int saved = errno, error;

	*fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	error = *fd < 0 ? errno : 0;
	errno = saved;
	return error;
}

int
save_write(int fd, const void *bytes, size_t nbytes)
{
	int saved = errno, error = 0;
	const char *at = bytes;

	while (nbytes > 0 && error == 0) {
		ssize_t n = write(fd, at, nbytes);

		if (n > 0) {
			at += n;
			nbytes -= (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			error = n == 0 ? ENOSPC : errno;
		}
	}
	errno = saved;
	return error;
}

int
save_copy(int fd, const char *path)
{
	int saved = errno, error = 0, from = open(path, O_RDONLY | O_CLOEXEC);
	char buf[4096];
	ssize_t n = 1;

	if (from < 0)
		error = errno;
	while (error == 0 && n != 0) {
		n = read(from, buf, sizeof(buf));
		if (n < 0 && errno != EINTR)
			error = errno;
		else if (n > 0)
			error = save_write(fd, buf, (size_t)n);
	}
	if (from >= 0)
		close(from);
	errno = saved;
	return error;
}

int
save_close(int fd, const char *path, int error)
{
	int saved = errno;
	struct stat st;
	bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	if (close(fd) != 0 && error == 0)
		error = errno;
	/* What is no file of ours is not ours to take away. */
	if (error != 0 && regular)
		(void)unlink(path);
	errno = saved;
	return error;
}
