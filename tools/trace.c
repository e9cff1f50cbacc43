/*
 * trace.c: opening traces; see trace.h.
 */
#include "trace.h"

#include "command.h"

#include <stdlib.h>

void
trace_need(struct trace_file *f, const char *path)
{
	if (!trace_file_map(f, path))
		fail(STATUS_FILE, "%s: %s", path, f->problem);
	if (f->problem[0] != '\0')
		fprintf(stderr, "phkmalloc: %s: %s\n", path, f->problem);
	if (f->place_count == 0)
		fail(STATUS_FILE, "%s: it has no operations", path);
}

uint32_t
trace_choose(const struct trace_file *f, const char *path, uint32_t process, int pid)
{
	struct trace_processes p;
	uint32_t found = 0;
	size_t i = 0;

	if (!trace_list_processes(f, &p))
		fail(STATUS_OTHER, "%s: out of memory", path);
	for (; i < p.count && found == 0; i++) {
		struct trace_order o;
		bool chosen = process == 0 && pid == 0;

		if (process != 0)
			chosen = p.numbers[i] == process;
		else if (pid != 0 && trace_order_start(&o, f, p.numbers[i])) {
			chosen = o.pid == pid;
			trace_order_finish(&o);
		}
		if (chosen)
			found = p.numbers[i];
	}
	if (found == 0)
		fail(STATUS_OTHER, "%s: it has no such process", path);
	free(p.numbers);
	return found;
}
