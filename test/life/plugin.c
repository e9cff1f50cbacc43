/*
 * The library that process.c opens and closes in many copies, with thread-local data.
 */
#include <stdlib.h>
#include <string.h>

static __thread char local[300];
static __thread int *of_thread;
static char *own;

void *plugin_make(size_t n);

__attribute__((constructor)) static void
start(void)
{
	own = strdup("what a constructor allocates");
}

__attribute__((destructor)) static void
end(void)
{
	free(of_thread);
	free(own);
}

void *
plugin_make(size_t n)
{
	local[n % sizeof(local)]++;
	if (of_thread == NULL)
		of_thread = calloc(1, sizeof(*of_thread));
	return memset(malloc(n), local[0], n);
}
