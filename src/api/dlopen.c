/*
 * dlopen.c: objects are opened so that malloc and free in them are this library's, too.
 *
 * RTLD_DEEPBIND (php's for its extensions) lets an object find libc's functions before those that
 * stand in for them: it would free with libc's free what libc's own strdup has from us, and end the
 * process. So the flag is left out. In the shared library only: a program that has the library
 * inside need not have another dlopen. No state; thread-safe.
 */
#include "os/env.h"

#include <dlfcn.h>

typedef void *open_function(const char *file, int mode);

/*
 * Where a file is looked for depends on the caller, whom libc knows by the address it returns to:
 * so this ends with a jump, as compilers do when they optimize (test/life/company.py). What libc's
 * function is called by is not kept: no pointer to be overwritten.
 */
EXPORT void *
dlopen(const char *file, int mode)
{
	open_function *next = NULL;

	*(void **)&next = dlsym(RTLD_NEXT, "dlopen");
	return next == NULL ? NULL : next(file, env_shallow(mode));
}
