/*
 * flame.c: see flame.h. And the two forms that flame graphs are drawn from: folded stacks, as
 * flamegraph.pl and speedscope read them, and a page that draws itself.
 */
#include "flame.h"
#include "command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const char _binary_tools_flame_html_start[], _binary_tools_flame_html_end[];

static const struct symbol unknown = { .name = "[stack not recorded]" };

static struct flame *
child_of(struct flame *f, const struct symbol *s)
{
	struct flame *c;

	for (c = f->child; c != NULL; c = c->next)
		if (strcmp(c->name, s->name) == 0)
			return c;
	c = xcalloc(1, sizeof(*c));
	c->name = s->name;
	c->file = s->file;
	c->line = s->line;
	c->next = f->child;
	f->child = c;
	return c;
}

static void
sum(struct estimate *to, const struct estimate *e)
{
	to->objects += e->objects;
	to->bytes += e->bytes;
	to->live_objects += e->live_objects;
	to->live_bytes += e->live_bytes;
}

struct flame *
flame_build(const struct profile *p)
{
	struct flame *root = xcalloc(1, sizeof(*root));

	root->name = p->program;
	for (size_t i = 0; i < p->row_count; i++) {
		const struct profile_row *r = &p->rows[i];
		struct flame *f = root;

		sum(&f->e, &r->e);
		if (r->depth == 0) {
			f = child_of(f, &unknown);
			sum(&f->e, &r->e);
		}
		for (uint32_t k = r->depth; k-- > 0;) {
			size_t n;
			int module;
			const struct symbol *s = symbols_find(p->symbols, r->frames[k], &n, &module);

			while (n-- > 0) {
				f = child_of(f, &s[n]);
				sum(&f->e, &r->e);
			}
		}
		sum(&f->self, &r->e);
	}
	return root;
}

void
flame_free(struct flame *f)
{
	while (f != NULL) {
		struct flame *next = f->next;

		flame_free(f->child);
		free(f);
		f = next;
	}
}

/* A function's name in a folded stack, where ; divides them and the last space stands before the
 * number. */
static void
put_folded_name(FILE *f, const char *name)
{
	for (; *name != '\0'; name++)
		fputc(*name == ';' ? ':' : *name == '\n' ? ' ' : *name, f);
}

void
profile_folded(FILE *f, const struct profile *p, bool live)
{
	for (size_t i = 0; i < p->row_count; i++) {
		const struct profile_row *r = &p->rows[i];
		double bytes = live ? r->e.live_bytes : r->e.bytes;

		if (llround(bytes) <= 0)
			continue;
		put_folded_name(f, p->program);
		if (r->depth == 0)
			fprintf(f, ";%s", unknown.name);
		for (uint32_t k = r->depth; k-- > 0;) {
			size_t n;
			int module;
			const struct symbol *s = symbols_find(p->symbols, r->frames[k], &n, &module);

			while (n-- > 0) {
				fputc(';', f);
				put_folded_name(f, s[n].name);
			}
		}
		fprintf(f, " %lld\n", llround(bytes));
	}
}

/* --- the page ------------------------------------------------------------------------------ */

/* A text for JavaScript inside of HTML: nothing in it ends a script. */
static void
put_text(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < ' ' || c == '<' || c == '&')
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

/* A node for a line: depth, name, source, the four sums and those of stacks that end here. */
static void
put_node(FILE *f, const struct flame *n, unsigned depth)
{
	fprintf(f, ",\n[%u,", depth);
	put_text(f, n->name);
	fputc(',', f);
	if (n->file != NULL)
		put_text(f, n->file);
	else
		fputs("0", f);
	fprintf(f, ",%d,%lld,%lld,%lld,%lld,%lld,%lld,%lld,%lld]", n->line,
	    llround(n->e.live_bytes), llround(n->e.live_objects), llround(n->e.bytes),
	    llround(n->e.objects), llround(n->self.live_bytes), llround(n->self.live_objects),
	    llround(n->self.bytes), llround(n->self.objects));
	for (const struct flame *c = n->child; c != NULL; c = c->next)
		put_node(f, c, depth + 1);
}

void
profile_html(FILE *f, const struct profile *p)
{
	static const char mark[] = "/*DATA*/";
	const char *start = _binary_tools_flame_html_start;
	size_t nbytes = (uintptr_t)_binary_tools_flame_html_end - (uintptr_t)start;
	const char *at = memmem(start, nbytes, mark, strlen(mark));
	struct flame *root = flame_build(p);

	fwrite(start, 1, (size_t)(at - start), f);
	fputs("{\"program\":", f);
	put_text(f, p->program);
	fputs(",\"host\":", f);
	put_text(f, p->host);
	fputs(",\"version\":", f);
	put_text(f, p->library);
	fprintf(f, ",\"pid\":%d,\"time\":%.0f,\"seconds\":%.1f,\"rate\":%u,\"lost\":%llu,\"nodes\":[0",
	    p->pid, p->time * 1000, p->seconds, p->rate, (unsigned long long)p->nlost);
	put_node(f, root, 0);
	fputs("\n]}", f);
	at += strlen(mark);
	fwrite(at, 1, nbytes - (size_t)(at - start), f);
	flame_free(root);
}
