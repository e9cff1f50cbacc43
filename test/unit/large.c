/* Large allocations: growth in place and by moving pages, faults, concealed memory. */
#include "heap/heap.h"
#include "heap/imalloc.h"
#include "large/large.h"
#include "unit.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int
filled(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i += 977)
		if (p[i] != (unsigned char)(i * 7))
			return 0;
	return 1;
}

static void
fill(unsigned char *p, size_t from, size_t to)
{
	for (size_t i = 0; i < to; i++)
		if (i >= from)
			p[i] = (unsigned char)(i * 7);
}

/*
 * As if free() had come while another thread resized the allocation in vain: it is whole again when
 * the report looks at it.
 */
static int
reports_a_race(void *p)
{
	char text[300] = "";
	size_t len = 0;
	ssize_t got;
	int ends[2];
	pid_t pid;

	if (pipe(ends) != 0)
		return 0;
	pid = fork();
	if (pid == 0) {
		(void)dup2(ends[1], 2);
		heap_report("free", PTR_OK, p, 0);
		_exit(0);
	}
	(void)close(ends[1]);
	while (len < sizeof(text) - 1 &&
	    (got = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)got;
	(void)close(ends[0]);
	(void)waitpid(pid, NULL, 0);
	return strstr(text, "page is already free") != NULL;
}

int
main(void)
{
	size_t n = 40000;
	unsigned char *p = malloc(n), *q, *block = NULL;
	int contents = 1;

	fill(p, 0, n);
	while (n < 60000000) {
		size_t more = n + n / 3;

		/* Something behind it every other time, so that it has to move. */
		free(block);
		block = malloc(70000);
		p = realloc(p, more);
		contents &= p != NULL && filled(p, n);
		fill(p, n, more);
		n = more;
	}
	promise(contents, "growing keeps the contents, in place or moved by the kernel");
	promise(heap_check() == 0, "the heap is whole after growing");
	while (n > 100000) {
		n /= 2;
		p = realloc(p, n);
		contents &= p != NULL && filled(p, n);
	}
	promise(contents, "shrinking keeps the contents");
	promise(large_verify(page_dir_find(p), p + 16) == PTR_MODIFIED_PAGE,
	    "a pointer into the first page is not the allocation");
	promise(reports_a_race(p), "who frees while another resizes is not told of a wrong pointer");
	free(p);
	free(block);
	q = iconceal(5000, true);
	promise(q != NULL && q[4999] == 0 && page_dir_find(q)->large.concealed,
	    "concealed memory is on pages of its own");
	memset(q, 0x5a, 5000);
	q = realloc(q, 200000);
	promise(page_dir_find(q)->large.concealed && q[4999] == 0x5a, "and stays so when it grows");
	free(q);
	n = SIZE_MAX;
	promise(imalloc(n / 2) == NULL && imalloc(n) == NULL && imalloc_aligned(1, n / 2 + 1) == NULL,
	    "what cannot be is refused");
	promise(heap_check() == 0, "the heap is whole at the end");
	return unit_done();
}
