/*
 * signal.c: SIGSEGV and SIGBUS, handed on to who had them before; see signal.h. State: the
 * handlers found at start, written once and sealed.
 */
#include "os/signal.h"

#include "os/vm.h"

#include <signal.h>
#include <string.h>

/* Read-only once it is written: who could change it could have anything called at a fault. */
static union {
	struct {
		bool (*trap)(void *address);
		struct sigaction before[2]; /* of SIGSEGV, of SIGBUS */
	};
	char page[SEAL_NBYTES];
} handlers ALIGNED(SEAL_NBYTES);

static void
on_signal(int signo, siginfo_t *info, void *context)
{
	const struct sigaction *old = &handlers.before[signo == SIGBUS];

	if (handlers.trap(info->si_addr))
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
signal_trap(bool (*handler)(void *address), bool hard)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = on_signal;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	handlers.trap = handler;
	(void)sigaction(SIGSEGV, &sa, &handlers.before[0]);
	(void)sigaction(SIGBUS, &sa, &handlers.before[1]);
	if (vm_pagesize <= SEAL_NBYTES)
		(void)vm_seal(&handlers, sizeof(handlers), hard);
}
