/*
 * symbol.c: see symbol.h. Answers are kept by address: a profile asks for the same ones often.
 */
#include "symbol.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INLINE_MAX 32U

/* Of the C++ runtime. */
char *__cxa_demangle(const char *name, char *buffer, size_t *size, int *status);

struct answer {
	uint64_t address; /* 0: empty */
	struct symbol *symbols;
	size_t count;
	int module;
};

struct symbols {
	Dwfl *dwfl;
	struct symbol_module *modules;
	size_t module_count;
	struct answer *answers; /* open addressing, a power of two */
	size_t size, used;
};

static pid_t find_pid; /* libdwfl's callback gets no argument of ours */

/* The file as the process sees it, where it still runs; else by its name. */
static int
find_elf(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base, char **file_name,
    Elf **elf)
{
	char path[PATH_MAX];
	int fd = -1;

	if (find_pid != 0 && name[0] == '/') {
		snprintf(path, sizeof(path), "/proc/%d/root%s", find_pid, name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			*file_name = xstrdup(path);
	}
	if (fd < 0 && name[0] == '/') {
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			*file_name = xstrdup(name);
	}
	return fd >= 0 ? fd : dwfl_linux_proc_find_elf(module, user, name, base, file_name, elf);
}

static int
add_module(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr start, void *arg)
{
	struct symbols *s = arg;
	struct symbol_module *m;
	const unsigned char *id;
	GElf_Addr at, bias;
	Dwarf_Addr end;
	int n;

	(void)user, (void)name, (void)start;
	s->modules = xgrow(s->modules, s->module_count + 1, sizeof(*m));
	m = &s->modules[s->module_count++];
	memset(m, 0, sizeof(*m));
	m->path = dwfl_module_info(module, NULL, &start, &end, NULL, NULL, NULL, NULL);
	m->start = start;
	m->end = end;
	if (dwfl_module_getelf(module, &bias) == NULL)
		return DWARF_CB_OK;
	n = dwfl_module_build_id(module, &id, &at);
	for (int i = 0; i < n && i < 20; i++)
		sprintf(m->build_id + (ptrdiff_t)2 * i, "%02x", id[i]);
	return DWARF_CB_OK;
}

struct symbols *
symbols_open(const char *maps, size_t nbytes, pid_t pid)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
	};
	struct symbols *s = xcalloc(1, sizeof(*s));
	FILE *f = nbytes == 0 ? NULL : fmemopen((void *)(uintptr_t)maps, nbytes, "r");

	find_pid = pid;
	s->size = 1024;
	s->answers = xcalloc(s->size, sizeof(*s->answers));
	s->dwfl = dwfl_begin(&callbacks);
	if (s->dwfl == NULL)
		fail(STATUS_OTHER, "libdw: %s", dwfl_errmsg(-1));
	dwfl_report_begin(s->dwfl);
	if (f != NULL) {
		(void)dwfl_linux_proc_maps_report(s->dwfl, f);
		fclose(f);
	}
	dwfl_report_end(s->dwfl, NULL, NULL);
	(void)dwfl_getmodules(s->dwfl, add_module, s, 0);
	return s;
}

void
symbols_close(struct symbols *s)
{
	if (s == NULL)
		return;
	dwfl_end(s->dwfl);
	for (size_t i = 0; i < s->size; i++) {
		for (size_t k = 0; k < s->answers[i].count; k++) {
			free((void *)(uintptr_t)s->answers[i].symbols[k].name);
			free((void *)(uintptr_t)s->answers[i].symbols[k].file);
		}
		free(s->answers[i].symbols);
	}
	free(s->answers);
	free(s->modules);
	free(s);
}

static char *
demangled(const char *name)
{
	int status;
	char *plain = strncmp(name, "_Z", 2) == 0 ? __cxa_demangle(name, NULL, NULL, &status) : NULL;

	if (plain == NULL) {
		plain = xstrdup(name);
		plain[strcspn(plain, "@")] = '\0'; /* the version of a dynamic symbol */
	}
	return plain;
}

static void
add(struct answer *a, char *name, const char *file, int line)
{
	struct symbol *s;

	a->symbols = xgrow(a->symbols, a->count + 1, sizeof(*s));
	s = &a->symbols[a->count++];
	s->name = name;
	s->file = file == NULL ? NULL : xstrdup(file);
	s->line = line;
}

static char *
die_name(Dwarf_Die *die)
{
	Dwarf_Attribute a;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &a) != NULL ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &a) != NULL)
		name = dwarf_formstring(&a);
	if (name == NULL)
		name = dwarf_diename(die);
	return name == NULL ? NULL : demangled(name);
}

/* The functions that were inlined around an address; *file and *line become those of the call. */
static void
add_inlined(struct answer *a, Dwfl_Module *module, uint64_t pc, const char **file, int *line)
{
	Dwarf_Addr bias;
	Dwarf_Die *cu = dwfl_module_addrdie(module, pc, &bias), *inner = NULL, *scopes = NULL;
	Dwarf_Files *files = NULL;
	size_t nfiles;
	int n = cu == NULL ? 0 : dwarf_getscopes(cu, pc - bias, &inner);

	if (n > 0)
		n = dwarf_getscopes_die(&inner[0], &scopes);
	if (n > 0 && dwarf_getsrcfiles(cu, &files, &nfiles) != 0)
		files = NULL;
	for (int i = 0; i < n && a->count < INLINE_MAX; i++) {
		Dwarf_Attribute attr;
		Dwarf_Word v;
		char *name;

		if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine)
			continue;
		name = die_name(&scopes[i]);
		if (name == NULL)
			continue;
		add(a, name, *file, *line);
		if (dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_line, &attr), &v) == 0)
			*line = (int)v;
		if (files != NULL &&
		    dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_file, &attr), &v) == 0)
			*file = dwarf_filesrc(files, v, NULL, NULL);
	}
	free(inner);
	free(scopes);
}

static int
module_at(const struct symbols *s, uint64_t pc)
{
	for (size_t i = 0; i < s->module_count; i++)
		if (pc >= s->modules[i].start && pc < s->modules[i].end)
			return (int)i;
	return -1;
}

static void
find(struct symbols *s, struct answer *a)
{
	uint64_t pc = a->address - 1; /* of the call, not of what follows it */
	Dwfl_Module *module = dwfl_addrmodule(s->dwfl, pc);
	Dwfl_Line *at = module == NULL ? NULL : dwfl_module_getsrc(module, pc);
	const char *name, *file = NULL, *path;
	GElf_Off offset;
	GElf_Sym sym;
	int line = 0;
	char *text;

	a->module = module_at(s, pc);
	if (at != NULL)
		file = dwfl_lineinfo(at, NULL, &line, NULL, NULL, NULL);
	if (module != NULL)
		add_inlined(a, module, pc, &file, &line);
	name = module == NULL ? NULL :
	    dwfl_module_addrinfo(module, pc, &offset, &sym, NULL, NULL, NULL);
	if (name != NULL) {
		add(a, demangled(name), file, line);
		return;
	}
	path = a->module < 0 ? "?" : s->modules[a->module].path;
	if (strrchr(path, '/') != NULL)
		path = strrchr(path, '/') + 1;
	if (asprintf(&text, "%s+0x%" PRIx64, path,
	    a->module < 0 ? pc + 1 : pc + 1 - s->modules[a->module].start) < 0)
		fail(STATUS_OTHER, "out of memory");
	add(a, text, file, line);
}

static struct answer *
slot(struct answer *answers, size_t size, uint64_t address)
{
	size_t i = (address * 0x9e3779b97f4a7c15U >> 32) & (size - 1);

	while (answers[i].address != 0 && answers[i].address != address)
		i = (i + 1) & (size - 1);
	return &answers[i];
}

const struct symbol *
symbols_find(struct symbols *s, uint64_t address, size_t *count, int *module)
{
	struct answer *a = slot(s->answers, s->size, address), *bigger;

	if (a->address == 0) {
		if (s->used++ > s->size / 2) {
			bigger = xcalloc(s->size * 2, sizeof(*bigger));
			for (size_t i = 0; i < s->size; i++)
				if (s->answers[i].address != 0)
					*slot(bigger, s->size * 2, s->answers[i].address) =
					    s->answers[i];
			free(s->answers);
			s->answers = bigger;
			s->size *= 2;
			a = slot(s->answers, s->size, address);
		}
		a->address = address;
		find(s, a);
	}
	*count = a->count;
	*module = a->module;
	return a->symbols;
}

const struct symbol_module *
symbols_modules(const struct symbols *s, size_t *count)
{
	*count = s->module_count;
	return s->modules;
}
