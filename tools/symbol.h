/*
 * symbol.h: names for code addresses of a process, from the files that it has mapped, by libdw.
 *
 * Files are looked for where the process sees them: below /proc/PID/root first. Without debugging
 * information the names are those of the symbol table. One thread.
 */
#ifndef TOOLS_SYMBOL_H
#define TOOLS_SYMBOL_H

#include "base.h"

#include <sys/types.h>

/* One function at an address; a call that was inlined has several, the innermost first. */
struct symbol {
	const char *name;   /* "file+0x123" when there is no better */
	const char *file;   /* source, or NULL */
	int line;           /* 0 when unknown */
};

struct symbol_module {
	uint64_t start;
	uint64_t end;
	const char *path;
	char build_id[41];  /* in hexadecimal, empty when unknown */
};

struct symbols;

/* maps is the text of /proc/PID/maps; pid is 0 when the process is gone. */
struct symbols *symbols_open(const char *maps, size_t nbytes, pid_t pid);
void symbols_close(struct symbols *s);
/* The functions at a return address; they stay valid. *module is -1 or which it is in. */
const struct symbol *symbols_find(struct symbols *s, uint64_t address, size_t *count, int *module);
const struct symbol_module *symbols_modules(const struct symbols *s, size_t *count);

#endif
