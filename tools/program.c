/*
 * program.c: see program.h. Reads the headers of ELF files and the first lines of scripts; what is
 * damaged or of a kind not known is left to the kernel to judge.
 */
#include "program.h"

#include "phkmalloc_inspect.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define HEADERS_MAX 256U
#define NOTES_NBYTES_MAX 16384U
#define SCRIPTS_MAX 5 /* as the kernel has it */

/* What is of interest of an ELF file. */
struct elf {
	bool ok;                  /* it is one */
	Elf64_Ehdr e;
	char interpreter[PATH_MAX]; /* empty for a static program */
	bool has_library;         /* the library is linked into it */
};

static bool
read_at(int fd, void *to, size_t nbytes, uint64_t offset)
{
	return pread(fd, to, nbytes, (off_t)offset) == (ssize_t)nbytes;
}

static void
read_segment(int fd, struct elf *elf, const Elf64_Phdr *p)
{
	static const char name[] = PHKMALLOC_NOTE_NAME;
	char notes[NOTES_NBYTES_MAX];

	if (p->p_type == PT_INTERP && p->p_filesz < sizeof(elf->interpreter)) {
		if (!read_at(fd, elf->interpreter, p->p_filesz, p->p_offset))
			elf->interpreter[0] = '\0';
	} else if (p->p_type == PT_NOTE && p->p_filesz <= sizeof(notes) &&
	    read_at(fd, notes, p->p_filesz, p->p_offset)) {
		elf->has_library |= memmem(notes, p->p_filesz, name, sizeof(name)) != NULL;
	}
}

static void
read_elf(const char *path, struct elf *elf)
{
	Elf64_Phdr headers[HEADERS_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	memset(elf, 0, sizeof(*elf));
	if (fd < 0)
		return;
	elf->ok = read_at(fd, &elf->e, sizeof(elf->e), 0) &&
	    memcmp(elf->e.e_ident, ELFMAG, SELFMAG) == 0;
	if (elf->ok && elf->e.e_ident[EI_CLASS] == ELFCLASS64 &&
	    elf->e.e_phentsize == sizeof(*headers) && elf->e.e_phnum <= HEADERS_MAX &&
	    read_at(fd, headers, elf->e.e_phnum * sizeof(*headers), elf->e.e_phoff))
		for (unsigned i = 0; i < elf->e.e_phnum; i++)
			read_segment(fd, elf, &headers[i]);
	close(fd);
}

static const struct elf *
own_elf(void)
{
	static struct elf own;

	if (!own.ok)
		read_elf("/proc/self/exe", &own);
	return &own;
}

bool
program_is_native(const char *path)
{
	struct elf elf;

	read_elf(path, &elf);
	return elf.ok && elf.e.e_ident[EI_CLASS] == ELFCLASS64 &&
	    elf.e.e_machine == own_elf()->e.e_machine;
}

char *
program_find(const char *name)
{
	const char *path = getenv("PATH");
	int error = ENOENT;

	if (strchr(name, '/') != NULL)
		return access(name, X_OK) == 0 ? xstrdup(name) : NULL;
	if (path == NULL)
		path = "/bin:/usr/bin";
	for (;;) {
		size_t n = strcspn(path, ":");
		char *file;
		struct stat st;

		if (asprintf(&file, "%.*s%s%s", (int)n, path, n == 0 ? "" : "/", name) < 0)
			fail(STATUS_OTHER, "out of memory");
		if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
			if (access(file, X_OK) == 0)
				return file;
			error = EACCES;
		}
		free(file);
		if (path[n] == '\0')
			break;
		path += n + 1;
	}
	errno = error;
	return NULL;
}

/* The loader ignores LD_PRELOAD where a program has more rights than who starts it. */
static bool
gains_rights(const char *path)
{
	struct stat st;
	struct statvfs fs;

	if (stat(path, &st) != 0 || (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID) != 0))
		return false;
	return ((st.st_mode & S_ISUID) != 0 && st.st_uid != getuid()) ||
	    ((st.st_mode & S_ISGID) != 0 && (st.st_mode & S_IXGRP) != 0 && st.st_gid != getgid()) ||
	    (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0);
}

static const char *
last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* What a script's first line names; false when the file is no script. */
static bool
read_script(const char *path, char *interpreter, size_t size)
{
	char line[256];
	size_t start, n;
	FILE *f = fopen(path, "re");
	bool ok = f != NULL && fgets(line, sizeof(line), f) != NULL && strncmp(line, "#!", 2) == 0;

	if (f != NULL)
		fclose(f);
	if (!ok)
		return false;
	start = 2 + strspn(line + 2, " \t");
	n = strcspn(line + start, " \t\n");
	snprintf(interpreter, size, "%.*s", (int)n, line + start);
	return n > 0;
}

const char *
program_obstacle(const char *path)
{
	char file[PATH_MAX], next[PATH_MAX];
	struct elf elf;
	const struct elf *own = own_elf();

	snprintf(file, sizeof(file), "%s", path);
	for (int i = 0; i < SCRIPTS_MAX && read_script(file, next, sizeof(next)); i++)
		snprintf(file, sizeof(file), "%s", next);
	read_elf(file, &elf);
	if (!elf.ok)
		return NULL;
	if (elf.e.e_ident[EI_CLASS] != ELFCLASS64)
		return "it is a 32-bit program, and the library is for 64-bit ones";
	if (elf.e.e_machine != own->e.e_machine)
		return NULL; /* the kernel says so, or runs it in an emulator */
	if (elf.has_library)
		return NULL;
	if (elf.interpreter[0] == '\0')
		return "it is linked statically, so nothing can be preloaded; link it with "
		       "libphkmalloc.a instead";
	if (gains_rights(file))
		return "it runs with the rights of another user, so the loader ignores what is preloaded; "
		       "link it with the library instead";
	if (own->interpreter[0] != '\0' &&
	    strcmp(last_name(elf.interpreter), last_name(own->interpreter)) != 0)
		return "its C library is another one than the library's";
	return NULL;
}
