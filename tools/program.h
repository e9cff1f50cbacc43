/*
 * program.h: whether a program can be run on a library that is preloaded, before it is started:
 * where it cannot, the loader would say nothing, or too little.
 */
#ifndef TOOLS_PROGRAM_H
#define TOOLS_PROGRAM_H

#include "base.h"

/* The file that execvp() would run, to be freed; NULL, with errno, when there is none. */
char *program_find(const char *name);
/* Why the file cannot run on the library, or NULL. Says nothing of files that are no programs. */
const char *program_obstacle(const char *path);
/* Whether a file is a 64-bit ELF file for this machine. */
bool program_is_native(const char *path);

#endif
