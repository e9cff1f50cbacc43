/*
 * file.c: files written by mapping them; see file.h. No state.
 */
#include "os/file.h"

#include "base/fmt.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Out of the way of numbers that programs count on or close in a row, where limits allow. */
static int
move_up(int fd)
{
	static const int least[] = {900, 200, 50};

	for (size_t i = 0; i < sizeof(least) / sizeof(least[0]); i++) {
		int up = fcntl(fd, F_DUPFD_CLOEXEC, least[i]);

		if (up >= 0) {
			close(fd);
			return up;
		}
	}
	return fd;
}

/* Not by getcwd(3): it may allocate. */
static bool
path_from_root(struct file *f, const char *path)
{
	size_t len = 0, n = strlen(path);

	if (path[0] != '/') {
		if (syscall(SYS_getcwd, f->path, sizeof(f->path)) < 0)
			return false;
		len = strlen(f->path);
		f->path[len++] = '/';
	}
	if (len + n + 1 > sizeof(f->path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(f->path + len, path, n + 1);
	return true;
}

static int
open_there(struct file *f)
{
	int fd = open(f->path, O_RDWR | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -1 : move_up(fd);
}

/* Under another name first, so that nobody finds it without its start. */
static int
create(const struct file *f, const void *start, size_t nbytes)
{
	struct fmt name;
	int fd, error = 0;

	name.len = 0;
	fmt_add(&name, "%s.%u", f->path, (unsigned)getpid());
	fmt_char(&name, '\0');
	if (name.len == sizeof(name.text))
		return ENAMETOOLONG;
	fd = open(name.text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return errno;
	if (write(fd, start, nbytes) != (ssize_t)nbytes)
		error = ENOSPC;
	/* Somebody else's is as good. */
	else if (link(name.text, f->path) != 0 && errno != EEXIST)
		error = errno;
	(void)unlink(name.text);
	close(fd);
	return error;
}

/* Whether it is a file of its own that starts as it should, and what tells it apart. */
static bool
recognise(struct file *f, const void *start, size_t same)
{
	char have[64];
	struct stat s;

	if (fstat(f->fd, &s) != 0 || !S_ISREG(s.st_mode) || same > sizeof(have) ||
	    pread(f->fd, have, same, 0) != (ssize_t)same || memcmp(have, start, same) != 0)
		return false;
	f->device = s.st_dev;
	f->inode = s.st_ino;
	return true;
}

int
file_open(struct file *f, const char *path, const void *start, size_t nbytes, size_t same)
{
	int saved = errno, error = 0;

	f->fd = -1;
	if (!path_from_root(f, path))
		error = errno;
	if (error == 0) {
		f->fd = open_there(f);
		if (f->fd < 0 && errno == ENOENT) {
			error = create(f, start, nbytes);
			if (error == 0)
				f->fd = open_there(f);
		}
		if (f->fd < 0 && error == 0)
			error = errno;
	}
	if (error == 0 && !recognise(f, start, same)) {
		close(f->fd);
		f->fd = -1;
		error = EINVAL;
	}
	errno = saved;
	return error;
}

int
file_descriptor(struct file *f)
{
	int saved = errno;
	struct stat s;

	if (fstat(f->fd, &s) != 0 || s.st_dev != f->device || s.st_ino != f->inode) {
		/* The number is the program's now. */
		f->fd = open_there(f);
		if (f->fd >= 0 && (fstat(f->fd, &s) != 0 || s.st_dev != f->device ||
		    s.st_ino != f->inode)) {
			close(f->fd);
			f->fd = -1;
		}
	}
	errno = saved;
	return f->fd;
}

/* For file systems that cannot reserve room. */
static int
write_zeros(int fd, uint64_t offset, size_t nbytes)
{
	static const char zeros[4096];

	for (size_t at = 0; at < nbytes; at += sizeof(zeros)) {
		size_t n = nbytes - at < sizeof(zeros) ? nbytes - at : sizeof(zeros);

		if (pwrite(fd, zeros, n, (off_t)(offset + at)) != (ssize_t)n)
			return ENOSPC;
	}
	return 0;
}

int
file_extend(struct file *f, uint64_t offset, size_t nbytes)
{
	int saved = errno, error = 0;
	struct rlimit limit;

	/* Beyond this limit the kernel sends a signal that ends the process. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    offset + nbytes > limit.rlim_cur)
		error = EFBIG;
	while (error == 0 && fallocate(f->fd, 0, (off_t)offset, (off_t)nbytes) != 0) {
		if (errno == EOPNOTSUPP || errno == ENOSYS) {
			error = write_zeros(f->fd, offset, nbytes);
			break;
		}
		if (errno != EINTR)
			error = errno;
	}
	errno = saved;
	return error;
}

const char *
file_problem(int error)
{
	switch (error) {
	case ENOSPC: return "no space left on the device";
	case EDQUOT: return "disk quota exceeded";
	case EFBIG: return "the limit on the size of files is reached";
	case EACCES: return "permission denied";
	case EPERM: return "not permitted";
	case ENOENT: return "no such folder";
	case ENOTDIR: return "not a folder";
	case EROFS: return "the file system is read-only";
	case EINVAL: return "it is there and is something else";
	case ENAMETOOLONG: return "the name is too long";
	case EMFILE: return "too many open files";
	case ENOMEM: return "out of memory";
	case EBADF: return "it was closed, and cannot be opened again";
	default: return "input or output error";
	}
}
