/*
 * trace_html.c: a trace's summary as one page that needs nothing else: tools/trace.html with the
 * summary's JSON in it.
 */
#include "trace_show.h"

#include <string.h>

extern const char _binary_tools_trace_html_start[], _binary_tools_trace_html_end[];

void
trace_show_html(FILE *f, const struct trace_file *file, const struct trace_order *o,
    struct summary *s)
{
	static const char mark[] = "{/* data */}";
	const char *page = _binary_tools_trace_html_start;
	size_t nbytes = (uintptr_t)_binary_tools_trace_html_end - (uintptr_t)page;
	const char *data = memmem(page, nbytes, mark, sizeof(mark) - 1);

	if (data == NULL)
		return;
	fwrite(page, 1, (size_t)(data - page), f);
	trace_show_json(f, file, o, s);
	data += sizeof(mark) - 1;
	fwrite(data, 1, nbytes - (size_t)(data - page), f);
}
