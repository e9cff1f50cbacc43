/*
 * hostile.c: processes whose bookkeeping is garbage, made up in here. Whatever the memory says,
 * a look at it ends, stays within its bounds, and its figures agree with each other. Built with
 * sanitizers, so that a step outside a buffer ends it. Arguments: how many, and the first seed.
 */
#include "../find.h"
#include "../snapshot.h"

#include "tap.h"

#include <elf.h>

#define AT_DESCRIPTOR 0x10000U
#define AT_COUNT 0x20000U
#define AT_OWNERS 0x21000U
#define AT_LETTERS 0x22000U
#define AT_CLASSES 0x30000U
#define AT_ARENAS 0x40000U
#define AT_DIRS 0x100000000U
#define ENTRY_NBYTES 64U
#define CLASSES 40U
#define AT_IMAGE 0x7f0000000000U
#define IMAGE_NBYTES 16384U

struct made_up {
	struct target t; /* first: found again from it */
	uint64_t seed;
	struct phkmalloc_descriptor d;
	uint32_t noise;    /* of 256 words, so many are garbage */
	uint32_t holes;    /* of 256 places, so many are not there */
	uint32_t torn;     /* of 256 looks, so many see something else than the last */
	uint64_t looks;
	uint64_t nbytes;
	unsigned char image[IMAGE_NBYTES]; /* an ELF file, more or less */
};

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93U;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93U;
	return x ^ x >> 32;
}

static const uint32_t sizes[] = { 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
	448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168,
	8192, 10240, 12288, 14336, 16384, 20480, 24576, 28672, 32768 };

static uint64_t
class_word(uint64_t offset)
{
	uint32_t c = (uint32_t)(offset / 16 % CLASSES);
	uint64_t nchunks = 65536 / sizes[c], nwords = (nchunks + 63) / 64;

	if (offset % 16 == 0)
		return sizes[c];
	return nchunks | nwords << 16 | (nwords + 7) / 8 * 8 << 32;
}

/* Arena i: origin, limit, page_dir, npages. */
static uint64_t
arena_word(const struct made_up *m, uint64_t offset)
{
	uint64_t i = offset / 64, r = mix(m->seed * 31 + i);
	uint64_t npages = (uint64_t)1 << r % 20, shift = m->d.page_shift;

	switch (offset % 64) {
	case 0:
		return ((uint64_t)1 << 40) + (i << 38) - (r % 7 == 0 ? (uint64_t)1 << 38 : 0);
	case 8:
		return (npages - (r >> 20) % npages) << shift;
	case 16:
		return AT_DIRS + (i << 32);
	default:
		return npages;
	}
}

/* The words of an entry: kinds as they are, and counts that mostly fit. */
static uint64_t
entry_word(const struct made_up *m, uint64_t offset)
{
	uint64_t i = offset / ENTRY_NBYTES, r = mix(m->seed * 37 + i), c = (r >> 8) % CLASSES;
	uint64_t nchunks = 65536 / sizes[c];
	uint64_t kind = r % 8 < 6 ? r % 8 : 0x7000000 + (r >> 16) % 4096;

	switch (offset % ENTRY_NBYTES) {
	case 0:
		return kind;
	case 8:
		return 0x500000000000U + i * 4096;
	case 16:
		return 1 | (r >> 24) % 100 << 32; /* countdown */
	case 24:
		if (kind < 64)
			return (r >> 20) % 16 | (r >> 30) % 16 << 32;
		return nchunks | c << 16 | 100ULL << 32;
	default:
		return r >> 7;
	}
}

static uint64_t
word_at(struct made_up *m, uint64_t address)
{
	uint64_t r = mix(m->seed ^ mix(address));

	if (address - AT_IMAGE <= IMAGE_NBYTES - 8) {
		memcpy(&r, m->image + (address - AT_IMAGE), 8);
		return r;
	}
	if (address >= AT_CLASSES && address < AT_CLASSES + CLASSES * 16 && m->seed % 8 != 7)
		return class_word(address - AT_CLASSES);
	if (m->torn != 0 && mix(++m->looks ^ m->seed) % 256 < m->torn)
		r = mix(r ^ m->looks);
	else if (r % 256 >= m->noise) {
		if (address >= AT_DIRS && address < (uint64_t)1 << 42)
			return entry_word(m, address & UINT32_MAX);
		if (address >= AT_ARENAS && address < AT_DIRS)
			return arena_word(m, address - AT_ARENAS);
		if (address == AT_COUNT)
			return m->seed % 5;
		if (address == AT_OWNERS || address >> 24 == 7)
			return 0x7000000 + (r >> 9) % 1000 * 64; /* a list that mostly ends in a cycle */
	}
	return (r >> 8) % 3 == 0 ? r >> 16 : r >> 56;
}

static void
read_made_up(struct target *t, struct span *spans, size_t n)
{
	struct made_up *m = (struct made_up *)t;

	for (size_t i = 0; i < n; i++) {
		unsigned char *to = spans[i].to;

		spans[i].done = mix(m->seed ^ spans[i].address >> 12) % 256 >= m->holes;
		for (size_t at = 0; spans[i].done && at < spans[i].nbytes; at += 8) {
			uint64_t w = word_at(m, (spans[i].address & ~(uint64_t)7) + at);
			size_t left = spans[i].nbytes - at;

			memcpy(to + at, &w, left < 8 ? left : 8);
		}
		m->nbytes += spans[i].nbytes;
	}
}

static void
make_up(struct made_up *m, uint64_t seed)
{
	*m = (struct made_up){ .seed = seed, .t = { .read_spans = read_made_up, .fd = -1 } };
	m->noise = (uint32_t)(uint64_t[]){ 0, 1, 16, 256 }[seed % 4];
	m->holes = seed / 4 % 3 == 0 ? (uint32_t)(seed % 64) : 0;
	m->torn = seed / 12 % 3 == 0 ? (uint32_t)(seed % 32) : 0;
	m->d = (struct phkmalloc_descriptor){
		.magic = PHKMALLOC_DESCRIPTOR_MAGIC, .version = PHKMALLOC_DESCRIPTOR_VERSION,
		.nbytes = sizeof(m->d), .library = "0", .arenas = AT_ARENAS, .arena_count = AT_COUNT,
		.size_classes = AT_CLASSES, .owners = AT_OWNERS, .conf_letters = AT_LETTERS,
		.page_shift = 16, .arena_max = 256, .arena_nbytes = 64, .arena_origin = 0,
		.arena_limit = 8, .arena_page_dir = 16, .arena_npages = 24,
		.entry_nbytes = ENTRY_NBYTES, .entry_bits = 8, .bits_countdown = 8,
		.chunk_nchunks = 24, .chunk_class_no = 26, .chunk_state = 27, .bits_started = 6,
		.free_npages = 24, .free_ndirty = 28, .large_npages = 24, .large_guard = 28,
		.large_nbytes = 40, .class_count = CLASSES, .class_nbytes = 16, .class_nchunks = 8,
		.class_nwords = 10, .class_remote = 12, .owner_next = 0, .owner_thread = 8,
		.owner_state = 12, .owner_nfreed = 16, .owner_rounding = 16,
	};
}

/* No address is in two runs: those of an arena follow each other, and arenas lie apart. */
static bool
lie_apart(const struct snapshot *s)
{
	struct { uint64_t start, end; } parts[300];
	size_t n = 0;

	for (size_t i = 0; i < s->run_count; i++) {
		const struct run *run = &s->runs[i];
		uint64_t end = run->address + (uint64_t)run->npages * s->page_nbytes;

		if (n == 0 || parts[n - 1].end != run->address) {
			if (n == 300)
				return false;
			parts[n++].start = run->address;
		}
		parts[n - 1].end = end;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (parts[i].start < parts[k].end && parts[k].start < parts[i].end)
				return false;
	return true;
}

static bool
agrees(const struct snapshot *s)
{
	uint64_t sum = 0;

	if (s->chunk_npages + s->large_npages + s->free_npages + s->guard_npages +
	    s->held_npages + s->unsettled_npages != s->npages)
		return false;
	for (uint32_t c = 0; c < s->class_count; c++)
		if (s->classes[c].live > s->classes[c].npages * s->classes[c].nchunks ||
		    s->classes[c].hollow > s->classes[c].npages * s->page_nbytes / s->os_page_nbytes)
			return false;
	for (size_t i = 0; i < s->run_count; i++) {
		const struct run *run = &s->runs[i];

		if (run->npages == 0 || run->kind > RUN_UNSETTLED ||
		    run->ndirty > run->npages ||
		    run->nbytes > (uint64_t)run->npages * s->page_nbytes)
			return false;
		if (run->kind == RUN_CHUNKS && run->class_no >= s->class_count)
			return false;
		sum += run->npages;
	}
	if (s->asked_nbytes > s->live_nbytes)
		return false;
	return lie_apart(s) && sum == s->npages && s->large_nbytes <= s->large_npages * s->page_nbytes;
}

/* A number that fits, nearly fits or does not. */
static uint64_t
some_size(uint64_t *r, uint64_t fits)
{
	*r = mix(*r + 1);
	switch (*r % 8) {
	case 0:
		return *r;
	case 1:
		return 0 - (*r >> 60);
	case 2:
		return fits + (*r >> 61);
	default:
		return fits;
	}
}

/* Headers that lead to a note, and that to a descriptor; all of it a little wrong now and then. */
static void
make_up_image(struct made_up *m)
{
	uint64_t r = m->seed * 41, changes;
	Elf64_Ehdr e = { .e_ident = ELFMAG, .e_phoff = some_size(&r, sizeof(e)),
		.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = (uint16_t)some_size(&r, 3) };
	Elf64_Phdr p[] = { { .p_type = PT_LOAD, .p_vaddr = some_size(&r, 0) },
		{ .p_type = PT_NOTE, .p_vaddr = some_size(&r, 1024), .p_filesz = some_size(&r, 28) },
		{ .p_type = PT_NOTE, .p_vaddr = some_size(&r, 2048), .p_filesz = some_size(&r, 300) } };
	Elf64_Nhdr n = { (uint32_t)some_size(&r, sizeof(PHKMALLOC_NOTE_NAME)),
		(uint32_t)some_size(&r, 4), PHKMALLOC_NOTE_TYPE };
	int32_t distance = (int32_t)some_size(&r, 4096 - 1024 - 24);

	e.e_ident[EI_CLASS] = ELFCLASS64;
	memcpy(m->image, &e, sizeof(e));
	memcpy(m->image + sizeof(e), p, sizeof(p));
	memcpy(m->image + 1024, &n, sizeof(n));
	memcpy(m->image + 1024 + sizeof(n), PHKMALLOC_NOTE_NAME, sizeof(PHKMALLOC_NOTE_NAME));
	memcpy(m->image + 1024 + 24, &distance, sizeof(distance));
	memcpy(m->image + 4096, &m->d, sizeof(m->d));
	for (changes = mix(r) % 4; changes > 0; changes--) {
		uint32_t *word = (uint32_t *)(m->image + 4096) + mix(r + changes) % (sizeof(m->d) / 4);

		*word = (uint32_t)some_size(&r, *word);
	}
}

/* A descriptor with one number that is far too large is none, whichever it is. */
static void
test_descriptor(void)
{
	struct mapping map = { .start = AT_IMAGE, .end = AT_IMAGE + IMAGE_NBYTES, .path = "x" };
	static struct made_up m;
	struct phkmalloc_descriptor d;
	size_t first = offsetof(struct phkmalloc_descriptor, page_shift), tried = 0, refused = 0;
	size_t last = offsetof(struct phkmalloc_descriptor, class_remote);
	uint64_t seed = 1;

	/* One whose files are whole. */
	do {
		make_up(&m, 4 * seed++);
		m.holes = m.torn = 0;
		m.t.maps = &map;
		m.t.map_count = 1;
		make_up_image(&m);
	} while (!find_descriptor(&m.t, &d));
	for (size_t at = first; at <= last; at += 4, tried++) {
		memcpy(m.image + 4096, &d, sizeof(d));
		memset(m.image + 4096 + at, 0xff, 4);
		m.t.status = STATUS_OK;
		refused += !find_descriptor(&m.t, &d);
		d = m.d;
	}
	ok(tried > 20 && refused == tried, "a descriptor with one wild number is refused");
}

/* From the files to the figures, as the command does it. */
static void
test_find(unsigned long n, uint64_t seed)
{
	struct mapping map = { .start = AT_IMAGE, .end = AT_IMAGE + IMAGE_NBYTES, .path = "x" };
	static struct made_up m;
	uint64_t found = 0, read = 0, wrong = 0;

	for (unsigned long i = 0; i < n; i++) {
		struct phkmalloc_descriptor d;
		struct snapshot s = { 0 };

		make_up(&m, seed + i);
		m.t.maps = &map;
		m.t.map_count = 1;
		make_up_image(&m);
		if (!find_descriptor(&m.t, &d))
			continue;
		found++;
		if (snapshot_take(&m.t, &d, true, NULL, &s)) {
			read++;
			wrong += !agrees(&s);
		}
		snapshot_free(&s);
	}
	printf("# %lu descriptors found, %lu heaps read\n", found, read);
	ok(wrong == 0 && found > n / 50 && found < n && read > n / 100,
	    "files and descriptors of garbage lead nowhere, or to figures that agree");
}

int
main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, wrong = 0, most = 0, read = 0;
	uint64_t chunks = 0, damaged = 0;

	snapshot_entries_max = 4096;
	for (unsigned long i = 0; i < n; i++) {
		static struct made_up m;
		struct snapshot s;

		make_up(&m, seed + i);
		if (snapshot_take(&m.t, &m.d, true, NULL, &s)) {
			read++;
			chunks += s.chunk_npages;
			damaged += s.damage != 0;
			if (!agrees(&s)) {
				printf("# seed %lu: figures contradict each other\n", seed + i);
				wrong++;
			}
		}
		if (m.nbytes > most)
			most = m.nbytes;
		snapshot_free(&s);
	}
	printf("# seeds %lu to %lu: %lu heaps read, %lu pages of chunks, %lu damaged, at most %lu "
	    "bytes read\n", seed, seed + n - 1, read, chunks, damaged, most);
	ok(wrong == 0, "figures of garbage agree with each other");
	ok(read > n / 2 && chunks > n && damaged > n / 10, "there were heaps, pages and damage to see");
	ok(most < (uint64_t)64 << 20, "what is read is bounded");
	test_find(n, seed);
	test_descriptor();
	return tap_done();
}
