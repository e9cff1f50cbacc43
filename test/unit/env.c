/* What the kernel and libc tell of the process, also before libc is set up and when it is odd. */
#include "os/env.h"
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* In a process that was started with that environment: as ld.so allocates, before libc has it. */
static int
early(void)
{
	char text[100];
	bool right;

	environ = NULL;
	errno = 17;
	right = env_get("UNIT_FIRST", text, sizeof(text)) && strcmp(text, "one") == 0;
	right &= env_get("UNIT_LAST", text, sizeof(text)) && strcmp(text, "last") == 0;
	right &= env_get("UNIT_FIRST", text, 3) && strcmp(text, "on") == 0;
	right &= !env_get("UNIT", text, sizeof(text)) && !env_get("UNIT_NONE", text, sizeof(text));
	program_invocation_short_name = NULL;
	right &= strcmp(env_program(), "env") == 0;
	program_invocation_short_name = (char[]){""};
	right &= strcmp(env_program(), "env") == 0 && errno == 17;
	return !right;
}

/* The parts of the environment are longer than what is read at a time. */
static bool
started(void)
{
	static char large[3][9000] = {"UNIT_A=", "UNIT_B=", "UNIT_C="};
	char *const argv[] = {"env", "early", NULL};
	char *given[500] = {"UNIT_FIRST=one", large[0], "UNIT_FIRST_NOT=x", large[1], large[2],
	    "UNIT_LAST=last"};
	size_t n = 6;
	int status = -1;
	pid_t pid;

	/* The tools of a build of counters or sanitizers want theirs. */
	for (char **e = environ; *e != NULL && n < 499; e++)
		given[n++] = *e;
	pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < 3; i++)
			memset(large[i] + 7, 'U', sizeof(large[i]) - 8 - i * 100);
		execve("/proc/self/exe", argv, given);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool
passes(void)
{
	uint64_t ms = env_clock_ms(), ns = env_clock_ns(), wall = env_wall_ns();

	errno = 17;
	env_sleep_ms(30);
	return errno == 17 && env_clock_ns() - ns >= 29000000 && env_clock_ms() - ms >= 10 &&
	    env_wall_ns() > 1700000000 * (uint64_t)1000000000 && env_wall_ns() != wall;
}

/* A pipe stands for it; another file in the place of the copy is left alone. */
static bool
stderr_stays(void)
{
	int fd[2], real = dup(STDERR_FILENO), n;
	char text[100] = "";

	if (pipe(fd) != 0)
		abort();
	dup2(fd[1], STDERR_FILENO);
	env_keep_stderr();
	env_write("one ", 4);
	close(STDERR_FILENO);
	env_write("two", 3);
	n = (int)read(fd[0], text, sizeof(text) - 1);
	dup2(real, STDERR_FILENO);
	close(real);
	return n == 7 && strcmp(text, "one two") == 0;
}

int
main(int argc, char **argv)
{
	char text[100];

	(void)argv;
	if (argc > 1)
		return early();
	env_init();
	promise(started(), "options and the program's name are found before libc has them");
	setenv("UNIT_NOW", "here", 1);
	promise(env_get("UNIT_NOW", text, sizeof(text)) && strcmp(text, "here") == 0 &&
	    !env_get("UNIT_NO", text, sizeof(text)), "and when it has");
	promise(!env_link("/proc/self/no such", text, sizeof(text)) &&
	    env_link("/proc/self/exe", text, 3) && strlen(text) == 2, "links, as far as they fit");
	promise(env_process() == getpid() && env_parent() == getppid() && env_thread() == getpid(),
	    "the process's numbers");
	promise(env_random() != env_random(), "random numbers");
	promise(env_is_code((void *)(uintptr_t)started) && env_is_code((void *)(uintptr_t)getpid) &&
	    !env_is_code(text) && !env_is_code(&environ), "what is code, here and in libraries");
	promise(env_process_lives(getpid()) && env_process_lives(1) && !env_process_lives(INT_MAX),
	    "whether a process lives, also one of another user");
	promise(passes(), "clocks go on, also while it waits");
	promise(stderr_stays(), "standard error can be written to when the program has closed it");
	return unit_done();
}
