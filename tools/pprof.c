/*
 * pprof.c: a profile as pprof, Parca and Pyroscope read it: profile.proto, compressed by gzip. Each
 * sample carries where it comes from as labels, so that profiles of many processes can be merged.
 */
#include "profile.h"
#include "profile.pb-c.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef Perftools__Profiles__Profile Profile;
typedef Perftools__Profiles__Sample Sample;
typedef Perftools__Profiles__Label Label;
typedef Perftools__Profiles__Mapping Mapping;
typedef Perftools__Profiles__Location Location;
typedef Perftools__Profiles__Line Line;
typedef Perftools__Profiles__Function Function;
typedef Perftools__Profiles__ValueType ValueType;

/* Finds what was added before, by a number that stands for it. */
struct index {
	uint64_t *keys; /* hashes or addresses, 0: empty */
	size_t *values;
	size_t size, used;
};

struct writer {
	Profile out;
	struct index strings;
	struct index functions;
	struct index locations;
};

/* The place of a key, which the caller fills when its key is 0. */
static size_t
index_at(struct index *x, uint64_t key)
{
	size_t i;

	if (x->used * 2 >= x->size) {
		struct index old = *x;

		x->size = old.size == 0 ? 1024 : old.size * 2;
		x->keys = xcalloc(x->size, sizeof(*x->keys));
		x->values = xcalloc(x->size, sizeof(*x->values));
		x->used = 0;
		for (i = 0; i < old.size; i++)
			if (old.keys[i] != 0) {
				size_t at = index_at(x, old.keys[i]);

				x->keys[at] = old.keys[i];
				x->values[at] = old.values[i];
				x->used++;
			}
		free(old.keys);
		free(old.values);
	}
	i = (key * 0x9e3779b97f4a7c15U >> 20) & (x->size - 1);
	while (x->keys[i] != 0 && x->keys[i] != key)
		i = (i + 1) & (x->size - 1);
	return i;
}

static void
index_set(struct index *x, size_t at, uint64_t key, size_t value)
{
	x->keys[at] = key;
	x->values[at] = value;
	x->used++;
}

/* A list that grows by doubling. */
static void *
append(void *list, size_t count, size_t size)
{
	return (count & (count - 1)) != 0 ? list : xgrow(list, count == 0 ? 1 : count * 2, size);
}

static uint64_t
hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3U;
	return h == 0 ? 1 : h;
}

/* A text's number in the table; equal ones share it. */
static int64_t
text(struct writer *w, const char *s)
{
	uint64_t key = hash(s == NULL ? s = "" : s);
	size_t at;

	/* Different texts of the same hash stand one after the other. */
	for (;; key++) {
		at = index_at(&w->strings, key == 0 ? ++key : key);
		if (w->strings.keys[at] == 0)
			break;
		if (strcmp(w->out.string_table[w->strings.values[at]], s) == 0)
			return (int64_t)w->strings.values[at];
	}
	index_set(&w->strings, at, key, w->out.n_string_table);
	w->out.string_table = append(w->out.string_table, w->out.n_string_table, sizeof(char *));
	w->out.string_table[w->out.n_string_table] = xstrdup(s);
	return (int64_t)w->out.n_string_table++;
}

static ValueType *
value_type(struct writer *w, const char *type, const char *unit)
{
	ValueType *v = xcalloc(1, sizeof(*v));

	perftools__profiles__value_type__init(v);
	v->type = text(w, type);
	v->unit = text(w, unit);
	return v;
}

static uint64_t
function(struct writer *w, const struct symbol *s)
{
	int64_t name = text(w, s->name), file = text(w, s->file);
	uint64_t key = (uint64_t)name << 32 | (uint64_t)file | (uint64_t)1 << 63;
	size_t at = index_at(&w->functions, key);
	Function *f;

	if (w->functions.keys[at] != 0)
		return w->functions.values[at];
	f = xcalloc(1, sizeof(*f));
	perftools__profiles__function__init(f);
	f->id = w->out.n_function + 1;
	f->name = f->system_name = name;
	f->filename = file;
	index_set(&w->functions, at, key, f->id);
	w->out.function = append(w->out.function, w->out.n_function, sizeof(f));
	w->out.function[w->out.n_function++] = f;
	return f->id;
}

static uint64_t
location(struct writer *w, struct symbols *symbols, uint64_t address)
{
	size_t at = index_at(&w->locations, address), n;
	const struct symbol *s;
	Location *l;
	int module;

	if (w->locations.keys[at] != 0)
		return w->locations.values[at];
	s = symbols_find(symbols, address, &n, &module);
	l = xcalloc(1, sizeof(*l));
	perftools__profiles__location__init(l);
	l->id = w->out.n_location + 1;
	l->mapping_id = (uint64_t)module + 1;
	l->address = address - 1; /* inside the call, as pprof has it */
	l->line = xcalloc(n, sizeof(*l->line));
	l->n_line = n;
	for (size_t i = 0; i < n; i++) {
		l->line[i] = xcalloc(1, sizeof(**l->line));
		perftools__profiles__line__init(l->line[i]);
		l->line[i]->function_id = function(w, &s[i]);
		l->line[i]->line = s[i].line;
	}
	index_set(&w->locations, at, address, l->id);
	w->out.location = append(w->out.location, w->out.n_location, sizeof(l));
	w->out.location[w->out.n_location++] = l;
	return l->id;
}

static void
add_mappings(struct writer *w, struct symbols *symbols)
{
	size_t n;
	const struct symbol_module *m = symbols_modules(symbols, &n);

	w->out.mapping = xcalloc(n, sizeof(*w->out.mapping));
	w->out.n_mapping = n;
	for (size_t i = 0; i < n; i++) {
		Mapping *to = xcalloc(1, sizeof(*to));

		perftools__profiles__mapping__init(to);
		to->id = i + 1;
		to->memory_start = m[i].start;
		to->memory_limit = m[i].end;
		to->filename = text(w, m[i].path);
		to->build_id = text(w, m[i].build_id);
		to->has_functions = to->has_filenames = to->has_line_numbers = 1;
		to->has_inline_frames = 1;
		w->out.mapping[i] = to;
	}
}

static Label *
label(struct writer *w, const char *key, const char *value)
{
	Label *l = xcalloc(1, sizeof(*l));

	perftools__profiles__label__init(l);
	l->key = text(w, key);
	l->str = text(w, value);
	return l;
}

static void
add_sample(struct writer *w, const struct profile *p, const struct profile_row *r)
{
	const double values[4] = { r->e.objects, r->e.bytes, r->e.live_objects, r->e.live_bytes };
	Sample *s = xcalloc(1, sizeof(*s));
	char pid[16];

	perftools__profiles__sample__init(s);
	s->n_location_id = r->depth;
	s->location_id = xcalloc(r->depth, sizeof(*s->location_id));
	for (uint32_t i = 0; i < r->depth; i++)
		s->location_id[i] = location(w, p->symbols, r->frames[i]);
	s->n_value = 4;
	s->value = xcalloc(4, sizeof(*s->value));
	for (size_t i = 0; i < 4; i++)
		s->value[i] = llround(values[i]);
	s->n_label = 5;
	s->label = xcalloc(s->n_label, sizeof(*s->label));
	snprintf(pid, sizeof(pid), "%d", p->pid);
	s->label[0] = label(w, "host", p->host);
	s->label[1] = label(w, "pid", pid);
	s->label[2] = label(w, "program", p->program);
	s->label[3] = label(w, "version", p->library);
	s->label[4] = label(w, "bytes", "");
	s->label[4]->num = (int64_t)r->nbytes;
	s->label[4]->num_unit = text(w, "bytes");
	w->out.sample = append(w->out.sample, w->out.n_sample, sizeof(s));
	w->out.sample[w->out.n_sample++] = s;
}

/* Compresses to a file that is open. */
static void
put_compressed(FILE *f, const void *data, size_t nbytes)
{
	z_stream z = { .next_in = (void *)(uintptr_t)data, .avail_in = (uInt)nbytes };
	unsigned char out[65536];
	int rc;

	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		fail(STATUS_OTHER, "zlib: out of memory");
	do {
		z.next_out = out;
		z.avail_out = sizeof(out);
		rc = deflate(&z, Z_FINISH);
		if (fwrite(out, 1, sizeof(out) - z.avail_out, f) != sizeof(out) - z.avail_out)
			break;
	} while (rc == Z_OK);
	deflateEnd(&z);
}

void
profile_pprof(FILE *f, const struct profile *p)
{
	struct writer w = { 0 };
	ValueType *types[4];
	unsigned char *data;
	size_t n;

	perftools__profiles__profile__init(&w.out);
	(void)text(&w, "");
	types[0] = value_type(&w, "alloc_objects", "count");
	types[1] = value_type(&w, "alloc_space", "bytes");
	types[2] = value_type(&w, "inuse_objects", "count");
	types[3] = value_type(&w, "inuse_space", "bytes");
	w.out.sample_type = types;
	w.out.n_sample_type = 4;
	w.out.default_sample_type = text(&w, "inuse_space");
	w.out.period_type = value_type(&w, "space", "bytes");
	w.out.period = p->rate;
	w.out.time_nanos = (int64_t)(p->time * 1e9);
	w.out.duration_nanos = (int64_t)(p->seconds * 1e9);
	add_mappings(&w, p->symbols);
	for (size_t i = 0; i < p->row_count; i++)
		add_sample(&w, p, &p->rows[i]);
	n = perftools__profiles__profile__get_packed_size(&w.out);
	data = xcalloc(n, 1);
	(void)perftools__profiles__profile__pack(&w.out, data);
	put_compressed(f, data, n);
	free(data);
}
