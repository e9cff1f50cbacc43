/*
 * thread.c: pthread keys and fork handlers; see thread.h. State: one key, set once at start.
 */
#include "os/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_key_t key;
static bool have_key;

bool
thread_exit_init(void (*at_exit)(void *))
{
	have_key = pthread_key_create(&key, at_exit) == 0;
	return have_key;
}

bool
thread_exit_arm(void *value)
{
	int saved = errno;
	bool done = have_key && pthread_setspecific(key, value) == 0;

	errno = saved;
	return done;
}

bool
thread_gone(int tid)
{
	int saved = errno;
	bool gone = syscall(SYS_tgkill, getpid(), tid, 0) != 0 && errno == ESRCH;

	errno = saved;
	return gone;
}

void
thread_fork_init(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	/* Fails only for lack of memory at start; then fork is as safe as without handlers. */
	(void)pthread_atfork(prepare, parent, child);
}
