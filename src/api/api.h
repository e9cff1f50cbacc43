/*
 * api.h: what the files of api/ share; nothing else includes it.
 */
#ifndef PHK_API_H
#define PHK_API_H

#include "base/base.h"

/* Sets errno to ENOMEM and returns NULL. */
void *api_no_memory(void);
void *api_realloc(void *p, size_t n, const char *func);
void *api_aligned(size_t alignment, size_t n);

/* Calls a new-handler and catches what it throws; whether it threw. */
bool api_handler_threw(void (*handler)(void));

#endif
