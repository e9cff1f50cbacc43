/* Files that the library keeps open in a program that may close, change and forbid anything. */
#include "os/file.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char start[] = "first bytes";
static char folder[] = "/tmp/phkmalloc-file-XXXXXX";

static int
opened(struct file *f, const char *path)
{
	int error;

	errno = 17;
	error = file_open(f, path, start, sizeof(start), 5);
	return errno == 17 ? error : -1;
}

static void
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		abort();
	close(fd);
}

static void
test_open(void)
{
	static struct file f, g;
	static char longer[FILE_PATH_MAX + 10];
	char text[20] = "";

	promise(opened(&f, "one") == 0 && f.fd >= 50 && f.path[0] == '/',
	    "a file is made, out of the way of the program's descriptors");
	promise(pread(f.fd, text, sizeof(text), 0) == (ssize_t)sizeof(start) &&
	    strcmp(text, start) == 0, "with its first bytes");
	promise(opened(&g, f.path) == 0 && g.inode == f.inode, "and found again from the root");
	write_file("other", "something else");
	promise(opened(&g, "other") == EINVAL && g.fd == -1, "what is something else is left alone");
	promise(opened(&g, ".") == EISDIR, "and what is no file");
	promise(opened(&g, "none/one") == ENOENT, "there has to be a folder");
	promise(opened(&g, "other/one") == ENOTDIR, "and it has to be one");
	memset(longer, 'x', sizeof(longer) - 1);
	promise(opened(&g, longer) == ENAMETOOLONG, "a name can be too long");
	longer[FILE_PATH_MAX - 100] = '\0';
	promise(opened(&g, longer) == ENAMETOOLONG, "also for the kernel");
	close(f.fd);
}

static void
test_descriptor(void)
{
	static struct file f;
	int was, other;

	if (opened(&f, "two") != 0)
		abort();
	was = f.fd;
	promise(file_descriptor(&f) == was, "a descriptor stays");
	close(was);
	promise(file_descriptor(&f) >= 0 && pwrite(f.fd, "x", 1, 0) == 1,
	    "a file that the program closed is opened again");
	other = open("other", O_RDONLY);
	dup2(other, f.fd);
	was = f.fd;
	promise(file_descriptor(&f) != was && f.fd >= 0, "a number that is another file's now is left");
	close(f.fd);
	write_file("new", start);
	rename("new", "two");
	promise(file_descriptor(&f) == -1, "a file that was replaced is not taken for it");
}

static void
test_extend(void)
{
	static struct file f;
	struct rlimit all, limit;
	struct stat s;

	if (opened(&f, "three") != 0)
		abort();
	promise(file_extend(&f, 0, 100000) == 0 && fstat(f.fd, &s) == 0 && s.st_size == 100000,
	    "a file grows");
	getrlimit(RLIMIT_FSIZE, &all);
	limit = all;
	limit.rlim_cur = 200000;
	setrlimit(RLIMIT_FSIZE, &limit);
	promise(file_extend(&f, 190000, 20000) == EFBIG, "not past the limit on the size of files");
	setrlimit(RLIMIT_FSIZE, &all);
	close(f.fd);
	f.fd = open("other", O_RDONLY);
	promise(file_extend(&f, 0, 5000) == EBADF, "nor when it may not be written");
	close(f.fd);
	f.fd = open("/dev/full", O_RDWR);
	promise(f.fd < 0 || file_extend(&f, 0, 5000) != 0, "nor on a device that is full");
	close(f.fd);
}

/* Each problem has words of its own. */
static void
test_problems(void)
{
	static const int problems[] = {ENOSPC, EDQUOT, EFBIG, EACCES, EPERM, ENOENT, ENOTDIR, EROFS,
	    EINVAL, ENAMETOOLONG, EMFILE, ENOMEM, EBADF, EIO};
	bool different = true;

	for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++)
		for (size_t k = 0; k < i; k++)
			different &= strcmp(file_problem(problems[i]), file_problem(problems[k])) != 0;
	promise(different && strcmp(file_problem(ELOOP), file_problem(EIO)) == 0,
	    "each problem has words of its own");
}

int
main(void)
{
	if (mkdtemp(folder) == NULL || chdir(folder) != 0) {
		printf("1..0 # SKIP no folder can be made in /tmp\n");
		return 0;
	}
	test_open();
	test_descriptor();
	test_extend();
	test_problems();
	for (size_t i = 0; i < 4; i++)
		unlink(((const char *const[]){"one", "two", "three", "other"})[i]);
	chdir("/");
	rmdir(folder);
	return unit_done();
}
