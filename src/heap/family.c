/*
 * family.c: who may free what; see family.h. Constant tables.
 */
#include "heap/family.h"

#include <string.h>

static const struct {
	const char *allocates;
	const char *frees; /* NULL: all that have no row of their own */
} families[FAMILY_COUNT] = {
	[FAMILY_MALLOC] = {"malloc", NULL},
	[FAMILY_ALIGNED] = {"aligned_alloc", NULL},
	[FAMILY_NEW] = {"operator new", "operator delete"},
	[FAMILY_ARRAY] = {"operator new[]", "operator delete[]"},
	[FAMILY_NEW_ALIGNED] = {"aligned operator new", "aligned operator delete"},
	[FAMILY_ARRAY_ALIGNED] = {"aligned operator new[]", "aligned operator delete[]"},
};

bool
family_fits(enum family family, const char *func)
{
	if (families[family].frees != NULL)
		return strcmp(func, families[family].frees) == 0;
	if (strstr(func, "operator") != NULL)
		return false;
	/* C23: free_sized is not for memory of aligned_alloc. */
	return family != FAMILY_ALIGNED || strcmp(func, "free_sized") != 0;
}

const char *
family_name(enum family family)
{
	return families[family].allocates;
}
