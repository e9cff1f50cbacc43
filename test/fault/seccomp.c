/*
 * A sandbox that forbids a system call: with an error the library goes on without what the call is
 * for, and of those that end the process it makes by default only the ones that SECURITY.md names.
 * Each case is a process that starts under the filter and goes through the script of the fault
 * injection in several threads. What the C library cannot do without itself is left out.
 */
#include "fault/script.h"
#include "phkmalloc.h"
#include "tap.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0
#endif
#ifndef SYS_rseq
#define SYS_rseq 334
#endif
#define SYS_MSEAL 462
#ifdef SYS_readlink
#define SYS_READLINK SYS_readlink
#else
#define SYS_READLINK SYS_readlinkat
#endif

static const struct {
	const char *name;
	uint32_t number;
	bool made; /* by default, so that a filter that kills must let it pass */
} calls[] = {
	{"madvise", SYS_madvise, true},
	{"mremap", SYS_mremap, true},
	{"mincore", SYS_mincore, true},
	{"prlimit64", SYS_prlimit64, true},
	{"gettid", SYS_gettid, true},
	{"readlink", SYS_READLINK, true},
	{"process_vm_readv", SYS_process_vm_readv, false},
	{"rseq", SYS_rseq, false},
	{"membarrier", SYS_membarrier, false},
	{"getrandom", SYS_getrandom, false},
	{"prctl", SYS_prctl, false},
	{"clock_gettime", SYS_clock_gettime, false},
	{"sched_getcpu", SYS_getcpu, false},
	{"mlock", SYS_mlock, false},
	{"pkey_mprotect", SYS_pkey_mprotect, false},
	{"mseal", SYS_MSEAL, false},
};

struct turn {
	uint32_t number;
	uint32_t action;
	bool alone; /* without the library, and nothing to do */
};

static int
start(void *arg)
{
	const struct turn *t = arg;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, t->number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, t->action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	if (t->alone)
		unsetenv("LD_PRELOAD");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
		return 77;
	if (t->alone)
		execl("/bin/true", "true", (char *)NULL);
	execl("/proc/self/exe", "seccomp", "work", (char *)NULL);
	return 127;
}

static int
work(void)
{
	pthread_t t;

	for (unsigned i = 1; i < 4; i++) {
		script_run(i);
		if (pthread_create(&t, NULL, script_thread, (void *)(uintptr_t)(i * 10)) != 0 ||
		    pthread_join(t, NULL) != 0)
			return 2;
		/* Large ones, that grow by moving. */
		free(realloc(malloc(2 << 20), 40 << 20));
		malloc_trim(0);
	}
	script_free_all();
	malloc_trim(0);
	return script_lost() || phkmalloc_check() != 0;
}

static void
forbid(size_t i, const char *how, uint32_t action, bool survives)
{
	struct turn t = {calls[i].number, action, true};
	struct ended alone, e;
	char promise[120];

	snprintf(promise, sizeof(promise), "%s %s: %s", calls[i].name, how,
	    survives ? "all goes on" : "it is made by default");
	child_run(&alone, start, &t);
	if (alone.status == 77 << 8 || ARCH == 0) {
		skip(promise, "no filter can be set here");
		return;
	}
	if (alone.status != 0) {
		skip(promise, "the C library does not start without it");
		return;
	}
	t.alone = false;
	child_run(&e, start, &t);
	if (!ok(survives ? e.status == 0 : died_of(&e, SIGSYS), "%s", promise))
		printf("# status %#x, %s\n", (unsigned)e.status, e.text);
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		return strcmp(argv[1], "work") == 0 ? work() : 127;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		forbid(i, "fails with EPERM", SECCOMP_RET_ERRNO | EPERM, true);
		forbid(i, "fails with ENOSYS", SECCOMP_RET_ERRNO | ENOSYS, true);
		forbid(i, "kills", SECCOMP_RET_KILL_PROCESS, !calls[i].made);
	}
	return tap_done();
}
