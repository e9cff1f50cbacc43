/*
 * fmt.c: text put together in a buffer on the stack; see fmt.h. Pure functions, no state.
 */
#include "base/fmt.h"

#include <stdarg.h>

void
fmt_char(struct fmt *f, char c)
{
	if (f->len < sizeof(f->text))
		f->text[f->len++] = c;
}

void
fmt_str(struct fmt *f, const char *s)
{
	while (*s != '\0')
		fmt_char(f, *s++);
}

static void
digits(struct fmt *f, uint64_t n, unsigned radix)
{
	char buf[20];
	unsigned i = 0;

	do {
		buf[i++] = "0123456789abcdef"[n % radix];
		n /= radix;
	} while (n != 0);
	while (i > 0)
		fmt_char(f, buf[--i]);
}

void
fmt_dec(struct fmt *f, uint64_t n)
{
	digits(f, n, 10);
}

void
fmt_ptr(struct fmt *f, uintptr_t p)
{
	fmt_str(f, "0x");
	digits(f, p, 16);
}

void
fmt_add(struct fmt *f, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	for (const char *s = format; *s != '\0'; s++) {
		if (*s != '%') {
			fmt_char(f, *s);
			continue;
		}
		switch (*++s) {
		case 's': fmt_str(f, va_arg(ap, const char *)); break;
		case 'u': fmt_dec(f, va_arg(ap, unsigned)); break;
		case 'z': fmt_dec(f, va_arg(ap, size_t)); break;
		case 'p': fmt_ptr(f, va_arg(ap, uintptr_t)); break;
		case 'c': fmt_char(f, (char)va_arg(ap, int)); break;
		case '%': fmt_char(f, '%'); break;
		default: ASSERT(*s == '%'); /* a letter that is not known */
		}
	}
	va_end(ap);
}
