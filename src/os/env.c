/*
 * env.c: name, environment, randomness, clock; see env.h. State: the random generator's, set at
 * start and advanced with an atomic add; the copy of standard error, set in the constructor.
 */
#include "os/env.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern char *program_invocation_short_name;
extern char **environ;

static uint64_t seed;

void
env_init(void)
{
	const char *given = (const char *)getauxval(AT_RANDOM);

	/*
	 * The second word: the first is the stack protector's secret. The kernel puts them at any
	 * address.
	 */
	seed = (uintptr_t)&seed;
	if (given != NULL)
		memcpy(&seed, given + sizeof(seed), sizeof(seed));
}

const char *
env_program(void)
{
	static char early[512];
	const char *slash;

	if (program_invocation_short_name != NULL && *program_invocation_short_name != '\0')
		return program_invocation_short_name;
	/* libc is not set up, but the kernel knows the file. */
	if (!env_link("/proc/self/exe", early, sizeof(early)))
		return "?";
	slash = strrchr(early, '/');
	return slash != NULL ? slash + 1 : early;
}

size_t
env_command(char *text, size_t nbytes)
{
	int saved = errno, fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, nbytes);

	if (fd >= 0)
		close(fd);
	errno = saved;
	return n < 0 ? 0 : (size_t)n;
}

bool
env_secure(void)
{
	return getauxval(AT_SECURE) != 0;
}

/* Copies VALUE of NAME=VALUE. */
static bool
match(const char *entry, const char *name, char *text, size_t nbytes)
{
	size_t len = strlen(name), i = 0;

	if (strncmp(entry, name, len) != 0 || entry[len] != '=')
		return false;
	for (const char *s = entry + len + 1; *s != '\0' && i + 1 < nbytes; s++)
		text[i++] = *s;
	text[i] = '\0';
	return true;
}

/* Before libc is set up (ld.so allocates then) the environment is in /proc only. */
static bool
env_get_early(const char *name, char *text, size_t nbytes)
{
	static char buf[4096];
	int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	bool found = false;

	if (fd < 0)
		return false;
	for (;;) {
		ssize_t n = read(fd, buf + have, sizeof(buf) - 1 - have);
		char *at = buf, *end;

		if (n <= 0)
			break;
		have += (size_t)n;
		buf[have] = '\0';
		while (!found && (end = memchr(at, '\0', (size_t)(buf + have - at))) != NULL) {
			found = match(at, name, text, nbytes);
			at = end + 1;
		}
		/* An entry larger than the buffer is passed over in pieces. */
		have = at == buf ? 0 : (size_t)(buf + have - at);
		memmove(buf, at, have);
		if (found)
			break;
	}
	close(fd);
	return found;
}

bool
env_get(const char *name, char *text, size_t nbytes)
{
	int saved = errno;
	bool found = false;

	if (env_secure())
		return false;
	if (environ == NULL)
		found = env_get_early(name, text, nbytes);
	else
		for (char **e = environ; *e != NULL && !found; e++)
			found = match(*e, name, text, nbytes);
	errno = saved;
	return found;
}

bool
env_link(const char *path, char *text, size_t nbytes)
{
	int saved = errno;
	ssize_t n = readlink(path, text, nbytes - 1);

	errno = saved;
	if (n < 0)
		return false;
	text[n] = '\0';
	return true;
}

int
env_thread(void)
{
	return (int)syscall(SYS_gettid);
}

int
env_cpu(void)
{
	int saved = errno;
	int cpu = sched_getcpu();

	errno = saved;
	return cpu;
}

int
env_process(void)
{
	return (int)getpid();
}

int
env_parent(void)
{
	return (int)getppid();
}

void
env_sleep_ms(unsigned ms)
{
	int saved = errno;
	struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	(void)nanosleep(&t, NULL);
	errno = saved;
}

bool
env_process_lives(int pid)
{
	int saved = errno;
	bool lives = kill(pid, 0) == 0 || errno != ESRCH;

	errno = saved;
	return lives;
}

int
env_shallow(int mode)
{
#ifdef RTLD_DEEPBIND
	mode &= ~RTLD_DEEPBIND;
#endif
	return mode;
}

uint64_t
env_random(void)
{
	/* splitmix64 (Steele, Lea, Flood 2014). */
	uint64_t z = __atomic_add_fetch(&seed, 0x9e3779b97f4a7c15U, __ATOMIC_RELAXED);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

uint64_t
env_time(void)
{
	struct timespec t = {0, 0};

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec;
}

uint64_t
env_clock_ms(void)
{
	int saved = errno;
	struct timespec t = {0, 0};

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	errno = saved;
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t
clock_ns(clockid_t id)
{
	struct timespec t = {0, 0};

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t
env_clock_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t
env_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

/* Whether the address in `data` is in code of this object. */
static int
in_code(struct dl_phdr_info *info, size_t nbytes, void *data)
{
	uintptr_t address = *(const uintptr_t *)data;

	(void)nbytes;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];

		if (h->p_type == PT_LOAD && (h->p_flags & PF_X) != 0 &&
		    address - (info->dlpi_addr + h->p_vaddr) < h->p_memsz)
			return 1;
	}
	return 0;
}

bool
env_is_code(const void *address)
{
	uintptr_t number = (uintptr_t)address;

	return dl_iterate_phdr(in_code, &number) != 0;
}

/* A copy of standard error, as long as nobody puts another file there. */
static struct stat kept_file;
static int kept = -1;

void
env_keep_stderr(void)
{
	kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
	if (kept >= 0 && fstat(kept, &kept_file) != 0)
		kept = -1;
}

static int
kept_stderr(void)
{
	struct stat now;

	return kept >= 0 && fstat(kept, &now) == 0 && now.st_dev == kept_file.st_dev &&
	    now.st_ino == kept_file.st_ino ? kept : -1;
}

void
env_write(const char *text, size_t nbytes)
{
	int saved = errno, fd = STDERR_FILENO;

	while (nbytes > 0) {
		ssize_t n = write(fd, text, nbytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EBADF && fd == STDERR_FILENO && (fd = kept_stderr()) >= 0)
			continue;
		if (n <= 0)
			break;
		text += n;
		nbytes -= (size_t)n;
	}
	errno = saved;
}
