/*
 * signal.c: SIGSEGV and SIGBUS, handed on to who had them before; see signal.h. State: the
 * handlers found at start, written once.
 */
#include "os/signal.h"

#include <signal.h>
#include <string.h>

static bool (*trap)(void *address);
static struct sigaction before[2];

static struct sigaction *
before_of(int signo)
{
	return &before[signo == SIGBUS];
}

static void
on_signal(int signo, siginfo_t *info, void *context)
{
	struct sigaction *old = before_of(signo);

	if (trap(info->si_addr))
		return;
	if ((old->sa_flags & SA_SIGINFO) != 0)
		old->sa_sigaction(signo, info, context);
	else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN)
		old->sa_handler(signo);
	else
		/* The access is made again and ends the process as it would have. */
		(void)sigaction(signo, old, NULL);
}

void
signal_trap(bool (*handler)(void *address))
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = on_signal;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	trap = handler;
	(void)sigaction(SIGSEGV, &sa, before_of(SIGSEGV));
	(void)sigaction(SIGBUS, &sa, before_of(SIGBUS));
}
