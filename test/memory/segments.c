/*
 * The code and the tables that few programs need lie in segments of their own, and a program that
 * allocates, frees and ends threads does not bring them into memory.
 */
#include "resident.h"

#include <link.h>
#include <pthread.h>

static size_t nsegments, nrare, nresident;

/* Of the library: code that malloc is not in. */
static int
look_at(struct dl_phdr_info *info, size_t nbytes, void *arg)
{
	uintptr_t at = (uintptr_t)malloc;
	size_t count = 0, rare = 0, resident = 0;
	bool here = false;

	(void)nbytes;
	(void)arg;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + h->p_vaddr;

		if (h->p_type != PT_LOAD || (h->p_flags & PF_X) == 0)
			continue;
		count++;
		if (at - start < h->p_memsz) {
			here = true;
			continue;
		}
		rare += h->p_memsz;
		resident += resident_in((const void *)start, h->p_memsz);
	}
	if (!here)
		return 0;
	nsegments = count;
	nrare = rare;
	nresident = resident;
	return 1;
}

static void *
work(void *arg)
{
	static const size_t sizes[] = {1, 24, 100, 1000, 5000, 30000, 100000, 3000000};
	char *p[8];

	for (int round = 0; round < 2000; round++) {
		for (int i = 0; i < 8; i++)
			p[i] = round % 2 == 0 ? malloc(sizes[i]) : calloc(1, sizes[i]);
		for (int i = 0; i < 8; i++)
			p[i] = realloc(p[i], sizes[i] * 3);
		for (int i = 0; i < 8; i++)
			free(p[i]);
	}
	free(arg);
	return malloc(10);
}

int
main(void)
{
	const char *what = "code that few programs need is not in memory";
	pthread_t thread;
	void *p;

	if (skip_emulated(what))
		return tap_done();
#ifndef __OPTIMIZE__
	skip(what, "built without optimization, which is what puts functions there");
	return tap_done();
#endif
	free(work(malloc(10)));
	if (pthread_create(&thread, NULL, work, malloc(10)) != 0 || pthread_join(thread, &p) != 0)
		abort();
	free(p);
	dl_iterate_phdr(look_at, NULL);
	if (nsegments == 1) {
		skip(what, "the program was linked with the library inside");
		return tap_done();
	}
	ok(nresident == 0 && nrare > 16384, "%s: %zu OS pages of %zu bytes", what, nresident, nrare);
	return tap_done();
}
