/*
 * The reader of traces with traces that are cut off, damaged, or made up. It has to end, with what
 * can be read, and touch nothing that is not the trace's: the sanitizers watch that. DAMAGE_ROUNDS
 * says how many are made of each kind.
 */
#include "tap.h"

#include "../../tools/trace_order.h"

#include <sys/mman.h>
#include <zstd.h>

#define ROUNDS 400
#define BLOCKS 6
#define STEPS_MAX 3000000

static uint64_t seed;
static unsigned long rounds;

/* --- a trace that is well -------------------------------------------------------------------- */

static size_t
put(uint8_t *at, uint64_t v, size_t n)
{
	memcpy(at, &v, n);
	return n;
}

/* A record: tag, time, size, address and what follows, all of one byte. */
static size_t
put_record(uint8_t *at, enum trace_op op, unsigned size, unsigned address)
{
	unsigned alen = address != 0, has_size = op != TRACE_FREE;
	size_t n = put(at, op | alen << 3 | 1U << 10, 2);

	if (has_size)
		n += put(at + n, size, 1);
	n += put(at + n, address, alen);
	if (op == TRACE_ALIGNED)
		n += put(at + n, 5, 1);
	if (op == TRACE_REALLOC)
		n += put(at + n, 0, 1);
	return n;
}

static size_t
make_block(uint8_t *block, uint32_t stream, uint32_t number)
{
	struct trace_block b = { .magic = TRACE_BLOCK_MAGIC, .process = 1, .stream = stream,
		.number = number, .time = 1000 + number * 5000, .pid = 10, .thread = 10 + (int)stream };
	struct trace_process p = { .pid = 10 };
	size_t n = sizeof(b);

	if (number == 0 && stream == 0) {
		n += put(block + n, TRACE_OTHER | TRACE_PROCESS << 3, 2);
		n += put(block + n, sizeof(p) + 5, 2);
		memcpy(block + n, &p, sizeof(p));
		memcpy(block + n + sizeof(p), "prog", 5);
		n += sizeof(p) + 5;
	}
	for (int i = 0; i < 400; i++) {
		uint64_t r = random_next(&seed);
		enum trace_op op = (enum trace_op)(1 + r % 6);

		n += put_record(block + n, op, (unsigned)(r >> 8 & 127), (unsigned)(r >> 16 & 63));
	}
	b.nbytes = (uint32_t)n;
	memcpy(block, &b, sizeof(b));
	return n;
}

/* A whole trace, packed or not, compressed or not; returns its bytes. */
static size_t
make_trace(uint8_t *trace, bool packed, bool compressed)
{
	static uint8_t block[TRACE_BLOCK_NBYTES];
	struct trace_head head = { .magic = TRACE_MAGIC, .version = TRACE_VERSION,
		.block_nbytes = TRACE_BLOCK_NBYTES, .tick_ns = TRACE_TICK_NS, .packed = packed };
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	size_t at = 0;

	/* As the command does it. */
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
	if (compressed) {
		at = ZSTD_compress2(zstd, trace, 1000, &head, sizeof(head));
	} else {
		memcpy(trace, &head, sizeof(head));
		at = packed ? sizeof(head) : TRACE_BLOCK_NBYTES;
	}
	for (uint32_t i = 0; i < BLOCKS; i++) {
		size_t n = make_block(block, i % 3, i / 3);

		if (compressed) {
			at += ZSTD_compress2(zstd, trace + at, 2 * TRACE_BLOCK_NBYTES, block, n);
		} else {
			memcpy(trace + at, block, n);
			at += packed ? n : TRACE_BLOCK_NBYTES;
		}
	}
	ZSTD_freeCCtx(zstd);
	return at;
}

/* --- reading --------------------------------------------------------------------------------- */

static void
count_object(const struct trace_object *object, void *arg)
{
	*(uint64_t *)arg += object->size != UINT64_MAX;
}

/* Everything a reader can do; returns the operations, and ends in any case. */
static uint64_t
read_trace(const uint8_t *trace, size_t nbytes, bool *well)
{
	struct trace_file f;
	struct trace_processes p;
	uint64_t operations = 0, steps = 0, objects = 0;

	*well = trace_file_read(&f, trace, nbytes) && f.problem[0] == '\0';
	if (f.place_count != 0 && trace_list_processes(&f, &p)) {
		for (size_t i = 0; i < p.count; i++) {
			struct trace_order o;
			struct trace_step step;

			if (!trace_order_start(&o, &f, p.numbers[i]))
				continue;
			while (trace_order_next(&o, &step))
				steps++;
			trace_order_live(&o, count_object, &objects);
			operations += o.operations;
			*well &= o.damaged == 0;
			if (steps > STEPS_MAX)
				abort();
			trace_order_finish(&o);
		}
		free(p.numbers);
	}
	trace_file_close(&f);
	return operations;
}

/* The bytes stand before an end of memory, so that one too many is a trap. */
static uint64_t
read_copy(const uint8_t *trace, size_t nbytes, bool *well)
{
	uint8_t *copy = malloc(nbytes == 0 ? 1 : nbytes);
	uint64_t n;

	memcpy(copy, trace, nbytes);
	n = read_trace(copy, nbytes, well);
	free(copy);
	return n;
}

/* --- damage ---------------------------------------------------------------------------------- */

static void
test_kind(uint8_t *trace, const char *name, bool packed, bool compressed)
{
	size_t n = make_trace(trace, packed, compressed);
	uint8_t *copy = malloc(n);
	bool well;
	uint64_t whole = read_copy(trace, n, &well), least = UINT64_MAX, unnoticed = 0;

	ok(well && whole > 1000, "a trace, %s, is read", name);
	for (unsigned long i = 0; i < rounds; i++) {
		size_t cut = random_next(&seed) % n;
		uint64_t got = read_copy(trace, cut, &well);

		least = got < least ? got : least;
		unnoticed += well && got < whole && packed;
	}
	ok(least < whole && unnoticed < rounds / 50, "%s: cut off anywhere, and that is noticed", name);
	unnoticed = 0;
	for (unsigned long i = 0; i < rounds; i++) {
		int bytes = 1 + (int)(random_next(&seed) % 8);

		memcpy(copy, trace, n);
		while (bytes-- > 0)
			copy[random_next(&seed) % n] = (uint8_t)random_next(&seed);
		unnoticed += read_copy(copy, n, &well) != whole && well;
	}
	ok(!compressed || unnoticed == 0, "%s: single bytes changed%s", name,
	    compressed ? ", and that is noticed" : "");
	for (unsigned long i = 0; i < rounds; i++) {
		size_t from = random_next(&seed) % n, len = random_next(&seed) % 200;

		memcpy(copy, trace, n);
		for (size_t k = from; k < n && k < from + len; k++)
			copy[k] = (uint8_t)random_next(&seed);
		(void)read_copy(copy, n, &well);
	}
	ok(true, "%s: whole stretches changed", name);
	free(copy);
}

/* A frame that does not tell its length any more costs what is in it, and nothing behind it. */
static void
test_frame_head(uint8_t *trace)
{
	size_t n = make_trace(trace, true, true), at = 0;
	bool well;
	uint64_t whole = read_copy(trace, n, &well), got;

	for (int i = 0; i < 3; i++)
		at += ZSTD_findFrameCompressedSize(trace + at, n - at);
	memset(trace + at, 0xff, 16);
	got = read_copy(trace, n, &well);
	ok(!well && got < whole && got >= whole / BLOCKS * (BLOCKS - 1),
	    "compressed: all but a damaged block is read: %llu of %llu operations",
	    (unsigned long long)got, (unsigned long long)whole);
}

/* Records that are random from the first byte on, in blocks whose headers are well. */
static void
test_random_records(uint8_t *trace)
{
	for (unsigned long i = 0; i < rounds; i++) {
		size_t n = make_trace(trace, true, false), at = sizeof(struct trace_head);
		bool well;

		while (at < n) {
			struct trace_block b;

			memcpy(&b, trace + at, sizeof(b));
			for (size_t k = sizeof(b); k < b.nbytes; k++)
				trace[at + k] = (uint8_t)random_next(&seed);
			at += b.nbytes;
		}
		(void)read_copy(trace, n, &well);
	}
	ok(true, "random records in blocks that are well");
}

int
main(void)
{
	uint8_t *trace = malloc((BLOCKS + 2) * 2 * (size_t)TRACE_BLOCK_NBYTES);
	const char *given = getenv("DAMAGE_ROUNDS");

	rounds = given != NULL ? strtoul(given, NULL, 10) : ROUNDS;
	seed = random_start();
	test_kind(trace, "raw", false, false);
	test_kind(trace, "packed", true, false);
	test_kind(trace, "compressed", true, true);
	test_frame_head(trace);
	test_random_records(trace);
	free(trace);
	return tap_done();
}
