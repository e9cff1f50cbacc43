/*
 * resident.h: which OS pages of an address range are backed by memory, and how much the process
 * has. From /proc, so that asking changes nothing.
 */
#ifndef TEST_RESIDENT_H
#define TEST_RESIDENT_H

#include "tap.h"

#include <fcntl.h>

/* Whether the OS page of an address is present, by bit 63 of its entry in the page map. */
UNUSED static bool
is_resident(const void *p)
{
	static int fd = -1;
	uint64_t entry = 0;
	off_t at = (off_t)((uintptr_t)p / (size_t)sysconf(_SC_PAGESIZE) * sizeof(entry));

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &entry, sizeof(entry), at) != (ssize_t)sizeof(entry))
		abort();
	return (entry >> 63) != 0;
}

/* OS pages present in n bytes from p. */
UNUSED static size_t
resident_in(const void *p, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 0;

	for (uintptr_t at = (uintptr_t)p & ~(page - 1); at < (uintptr_t)p + n; at += page)
		count += is_resident((const void *)at);
	return count;
}

/* A figure of /proc/self/status in KiB, such as "VmRSS:". */
UNUSED static size_t
status_kib(const char *name)
{
	char text[8192], *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		abort();
	close(fd);
	text[n] = '\0';
	at = strstr(text, name);
	return at == NULL ? 0 : strtoul(at + strlen(name), NULL, 10);
}

#endif
