/*
 * renamed.h: the library under other names, for builds with a sanitizer, whose runtime has to be
 * the process's malloc. Included before everything else, in the library and in its tests, so that
 * tests call the library and the rest of the process does not.
 */
#ifndef UNIT_RENAMED_H
#define UNIT_RENAMED_H

#define aligned_alloc phk_aligned_alloc
#define calloc phk_calloc
#define cfree phk_cfree
#define free phk_free
#define mallinfo phk_mallinfo
#define mallinfo2 phk_mallinfo2
#define malloc phk_malloc
#define malloc_info phk_malloc_info
#define malloc_stats phk_malloc_stats
#define malloc_trim phk_malloc_trim
#define malloc_usable_size phk_malloc_usable_size
#define mallopt phk_mallopt
#define memalign phk_memalign
#define posix_memalign phk_posix_memalign
#define pvalloc phk_pvalloc
#define realloc phk_realloc
#define reallocarray phk_reallocarray
#define valloc phk_valloc

#endif
