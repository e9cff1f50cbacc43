/*
 * Fuzzed: strings of options. Whatever is in them, the parser keeps to the fields and their limits,
 * and what it says is in effect fits its place and means the same when it is read again.
 */
#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
	struct {
		char before[16];
		struct conf c;
		char after[16];
	} a, b;
	struct {
		char letters[CONF_LETTERS_MAX];
		char after[16];
	} text, again;
	char *string = malloc(nbytes + 1);

	memcpy(string, data, nbytes);
	string[nbytes] = '\0';
	memset(&a, 0x5a, sizeof(a));
	memset(&b, 0x5a, sizeof(b));
	memset(&text, 0x5a, sizeof(text));
	conf_defaults(&a.c);
	conf_parse(&a.c, string, "fuzz");
	conf_letters(&a.c, text.letters);
	if (memchr(text.letters, '\0', CONF_LETTERS_MAX) == NULL)
		abort();
	conf_defaults(&b.c);
	conf_parse(&b.c, text.letters, "fuzz");
	conf_letters(&b.c, again.letters);
	for (size_t i = 0; i < 16; i++)
		if (a.before[i] != 0x5a || a.after[i] != 0x5a || text.after[i] != 0x5a)
			abort();
	/* Numbers are not among the letters, nor is it that the cache was changed after S. */
	if (strpbrk(text.letters, "BSW") == NULL && strcmp(text.letters, again.letters) != 0)
		abort();
	free(string);
	return 0;
}
