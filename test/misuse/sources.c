/*
 * Where options come from: the program's malloc_options, the link /etc/malloc.conf, the environment
 * variable, in this order, later ones winning; and that a set-user-ID program does not believe its
 * environment. The link is made in a mount namespace of its own, not on this machine.
 */
#include "misuse.h"

#include "phkmalloc_inspect.h"

#include <grp.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/stat.h>

extern const struct phkmalloc_descriptor phkmalloc_descriptor;
const char *malloc_options = "JR<K";

#define NOBODY 65534
#define CANNOT 77

static const char *program = "/proc/self/exe";
static const char *link_to; /* NULL: no link */
static const char *env;     /* NULL: not set */

/* Says on standard error what is in effect. */
static int
tell(void)
{
	const char *letters = (const char *)(uintptr_t)phkmalloc_descriptor.conf_letters;

	free(malloc(1));
	return write(STDERR_FILENO, letters, strlen(letters)) < 0;
}

/* Has /etc with nothing but the link. */
static bool
make_link(void)
{
	/* Somebody else than root is root in a user namespace, where there are such. */
	if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return false;
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("none", "/etc", "tmpfs", 0, NULL) == 0 &&
	    symlink(link_to, "/etc/malloc.conf") == 0;
}

static int
start(void *unused)
{
	(void)unused;
	unsetenv("MALLOC_OPTIONS");
	if (env != NULL)
		setenv("MALLOC_OPTIONS", env, 1);
	if (link_to != NULL && !make_link())
		return CANNOT;
	execl(program, "sources", "tell", (char *)NULL);
	return CANNOT;
}

static void
in_effect(const char *letters, const char *promise)
{
	struct ended e;

	child_run(&e, start, NULL);
	if (WIFEXITED(e.status) && WEXITSTATUS(e.status) == CANNOT)
		skip(promise, "no mount namespace can be made here");
	else if (!ok(e.status == 0 && strcmp(e.text, letters) == 0, "%s", promise))
		printf("# in effect: %s, not %s, status %#x\n", e.text, letters, (unsigned)e.status);
}

/* A copy of this program that runs with more rights than who calls it; false when it cannot be. */
static bool
make_privileged(char *copy, size_t nbytes)
{
	char here[4000], command[9000];
	ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - 1);
	gid_t groups[64], other = getgid();
	int count = getgroups(64, groups);

	if (n < 0)
		return false;
	here[n] = '\0';
	snprintf(copy, nbytes, "%s-privileged", here);
	snprintf(command, sizeof(command), "cp '%s' '%s'", here, copy);
	if (system(command) != 0)
		return false;
	if (geteuid() == 0)
		return chown(copy, NOBODY, NOBODY) == 0 && chmod(copy, 04755) == 0;
	for (int i = 0; i < count; i++)
		if (groups[i] != getgid())
			other = groups[i];
	return other != getgid() && chown(copy, (uid_t)-1, other) == 0 && chmod(copy, 02755) == 0;
}

/* For the copy: whether the kernel says that it is privileged. */
static int
is_secure(void *copy)
{
	execl(copy, "sources", "secure", (char *)NULL);
	return CANNOT;
}

static void
privileged(void)
{
	static char copy[5000];
	struct ended e = {.status = -1};

	if (make_privileged(copy, sizeof(copy)))
		child_run(&e, is_secure, copy);
	if (e.status != 0) {
		skip("a set-user-ID program ignores MALLOC_OPTIONS", "none can be made or run here");
		unlink(copy);
		return;
	}
	program = copy;
	link_to = NULL;
	env = "aZ";
	in_effect("JKR<", "a set-user-ID program ignores MALLOC_OPTIONS");
	link_to = "jZ";
	in_effect("KRZ<", "and believes /etc/malloc.conf");
	unlink(copy);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "tell") == 0)
		return tell();
	if (argc == 2 && strcmp(argv[1], "secure") == 0)
		return getauxval(AT_SECURE) == 0;
	in_effect("JKR<", "malloc_options of the program is in effect");
	env = "JrX";
	in_effect("JJKX<", "the environment comes after malloc_options");
	env = NULL;
	link_to = "jZk";
	in_effect("RZ<", "/etc/malloc.conf comes after malloc_options");
	env = "zJJX";
	in_effect("JJRX<", "the environment comes last");
	env = "";
	in_effect("RZ<", "an empty variable changes nothing");
	link_to = "?Z";
	env = NULL;
	struct ended e;

	child_run(&e, start, NULL);
	if (WIFEXITED(e.status) && WEXITSTATUS(e.status) == CANNOT)
		skip("an unknown letter is said", "no mount namespace can be made here");
	else
		ok(strstr(e.text, ") in malloc(): warning: unknown char in /etc/malloc.conf: ?\n") &&
		    strstr(e.text, "JKRZ<"), "an unknown letter is said with where it comes from");
	privileged();
	return tap_done();
}
