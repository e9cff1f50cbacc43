/*
 * profile_file.c: the profile in a file at exit, where MALLOC_PROFILE_FILE names one; its bytes are
 * described in phkmalloc_inspect.h. A process that ends by a signal or by _exit leaves none: a tool
 * reads its profile while it runs.
 *
 * State: the file's name, set at start. At exit other threads may go on: sums are what they are at
 * that moment, and sites and stacks that come later are not in the file.
 */
#include "base/fmt.h"
#include "conf/conf.h"
#include "diag/fault.h"
#include "diag/stack.h"
#include "os/env.h"
#include "os/file.h"
#include "os/save.h"
#include "phkmalloc.h"
#include "watch/profile.h"

#include <string.h>

static char name[1024]; /* %p stands for the process's number */

USUAL __attribute__((constructor)) static void
get_name(void)
{
	if (!env_get("MALLOC_PROFILE_FILE", name, sizeof(name)))
		name[0] = '\0';
}

static void
expand(struct fmt *f)
{
	f->len = 0;
	for (const char *s = name; *s != '\0'; s++) {
		if (s[0] == '%' && s[1] == 'p') {
			fmt_dec(f, (uint64_t)env_process());
			s++;
		} else {
			fmt_char(f, *s);
		}
	}
	fmt_char(f, '\0');
}

static int
write_file(const char *path)
{
	struct phkmalloc_profile_file head = {
		.magic = PHKMALLOC_PROFILE_MAGIC,
		.version = PHKMALLOC_PROFILE_VERSION,
		.pid = env_process(),
		.start_ms = profile.start_ms,
		.end_ms = env_clock_ms(),
		.time = env_time(),
		.nlost = load_relaxed(&profile.nlost),
		.nsites = load_acquire(&profile.nsites),
		.library = PHKMALLOC_VERSION,
	};
	const void *sites = (const void *)(uintptr_t)profile.sites;
	int fd, error = save_open(path, &fd);

	if (error != 0)
		return error;
	/* After the sites: what these have is complete. */
	head.nwords = sites == NULL ? 0 : load_acquire(&stack_table.nwords);
	if (head.nwords <= 1) /* nothing was ever recorded, and the table is not there yet */
		head.nwords = 0;
	strncpy(head.program, env_program(), sizeof(head.program) - 1);
	error = save_write(fd, &head, sizeof(head));
	if (error == 0 && sites != NULL)
		error = save_write(fd, sites, head.nsites * sizeof(struct phkmalloc_site));
	if (error == 0 && sites != NULL)
		error = save_write(fd, stack_table.words, head.nwords * sizeof(uint64_t));
	if (error == 0)
		error = save_copy(fd, "/proc/self/maps");
	return save_close(fd, path, error);
}

static COLD void
write_profile(void)
{
	struct fmt path, f;
	int error;

	expand(&path);
	error = write_file(path.text);
	if (error == 0)
		return;
	f.len = 0;
	fmt_add(&f, "%s: %s%c", path.text, file_problem(error), 0);
	fault_say("exit", "no profile in", f.text);
}

USUAL __attribute__((destructor)) static void
profile_exit(void)
{
	if (name[0] != '\0' && (opt.profile_rate != 0 || profile.sites != 0))
		write_profile();
}
