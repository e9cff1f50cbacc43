/*
 * watch.c: counts, and draws which allocation is next; see watch.h and struct watch in owner.h.
 *
 * Bytes until the next sample of a profile are drawn from the exponential distribution, so each
 * byte has the same chance. Chunks are counted late, at most a page of them: the sample is one of
 * the same class a random few allocations later, so that no loop's rhythm is met.
 */
#include "watch/watch.h"

#include "chunk/chunk.h"

#include "conf/conf.h"
#include "os/env.h"

/* The number of allocations that a sample is put off is below this. */
#define SKIP_MAX 16U
/*
 * From this rate on, guarded allocations are also this far apart in time. One costs some
 * microseconds, so a thread that does nothing but allocate spends little of its time on them.
 */
#define SPACED_RATE 1000U
#define SPACED_MS 50U

static uint64_t guard_next_ms; /* no guarded allocation before, when they are spaced */

/*
 * Exponentially distributed with this mean: -ln of a random number in (0, 1], whose logarithm is
 * its exponent and a polynomial of its fraction, exact to 1e-4.
 */
static int64_t
draw(uint32_t mean)
{
	uint64_t r = env_random() >> 12 | 1;
	unsigned e = log2_floor(r);
	double f = (double)(r << (52 - e)) * 0x1p-52 - 1;
	double log2f = f * (1.4426039 + f * (-0.7167147 + f * (0.4405990 + f * (-0.2251030 +
	    f * 0.0586649))));

	return (int64_t)((52 - (double)e - log2f) * 0.6931471805599453 * mean) + 1;
}

static void
alert_set(struct owner *o)
{
	struct watch *w = o->watch;

	w->each = (owner_slow && opt.sample_rate != 0) /* counted one by one */
	    || load_relaxed(&owner_watch.profile_rate) == WATCH_ALL;
	o->alert = opt.looked || w->each || w->guard_due || w->nskipping != 0;
}

bool
watch_join(struct owner *o)
{
	union owner_watch now = { .any = load_relaxed(&owner_watch.any) };
	struct watch *w = o->watch;

	if (w == NULL) {
		if (!owner_watch_init(o))
			return false;
		w = o->watch;
		if (opt.sample_rate != 0)
			w->guard_left = (int64_t)(env_random() % opt.sample_rate);
	}
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		w->seen[c] = WATCH_UNSEEN;
		w->due[c] = 0;
		w->skip[c] = 0;
	}
	w->nskipping = 0;
	w->joined = now.any;
	w->profile_left = draw(now.profile_rate);
	alert_set(o);
	return true;
}

static void
guard_count(struct watch *w, uint32_t taken)
{
	uint64_t now;

	w->guard_left -= taken;
	if (LIKELY(w->guard_left >= 0))
		return;
	w->guard_left += (int64_t)(env_random() % (2 * (uint64_t)opt.sample_rate)) + 1;
	if (opt.sample_rate >= SPACED_RATE) {
		/* What is owed is forgotten here; else a burst of it would follow. */
		if (w->guard_left < 0)
			w->guard_left = 0;
		now = env_clock_ms();
		if (now < load_relaxed(&guard_next_ms))
			return;
		store_relaxed(&guard_next_ms, now + SPACED_MS);
	}
	w->guard_due = true;
}

/* Where samples of a class would follow each other, one stands for all that are due. */
static bool
is_sparse(unsigned class_no, uint32_t rate)
{
	return rate >= SKIP_MAX * size_classes[class_no].size;
}

/* So many bytes were allocated in chunks of a class: how many samples are due for them. */
static void
profile_count(struct watch *w, unsigned class_no, size_t nbytes, uint32_t rate)
{
	w->profile_left -= (int64_t)nbytes;
	while (UNLIKELY(w->profile_left < 0) && w->due[class_no] < UINT32_MAX) {
		w->profile_left += draw(rate);
		w->due[class_no]++;
	}
	if (w->due[class_no] == 0 || w->skip[class_no] != 0)
		return;
	w->skip[class_no] = 1;
	if (is_sparse(class_no, rate))
		w->skip[class_no] += (uint8_t)(env_random() % SKIP_MAX);
	w->nskipping++;
}

void
watch_look(struct owner *o, const struct pginfo *pg, size_t nfree)
{
	uint32_t rate = load_relaxed(&owner_watch.profile_rate), taken;
	unsigned c = pg->chunk.class_no;
	int32_t before, now = (int32_t)nfree + page_counts(pg)->countdown;

	if (UNLIKELY(!watch_is_joined(o)) && !watch_join(o))
		return;
	before = o->watch->seen[c];
	o->watch->seen[c] = now;
	if (before == WATCH_UNSEEN || before == now)
		return;
	taken = (uint32_t)(before - now);
	if (opt.sample_rate != 0 && !owner_slow)
		guard_count(o->watch, taken);
	if (rate > WATCH_ALL)
		profile_count(o->watch, c, (size_t)taken * size_classes[c].size, rate);
	alert_set(o);
}

void
watch_moved(struct owner *o, const struct pginfo *pg, int32_t by)
{
	unsigned c = pg->chunk.class_no;

	if (o->watch != NULL && o->watch->seen[c] != WATCH_UNSEEN)
		o->watch->seen[c] += by;
}

enum watch_what
watch_ask(struct owner *o, unsigned class_no, uint32_t *weight)
{
	uint32_t rate = load_relaxed(&owner_watch.profile_rate);
	enum watch_what what = WATCH_PLAIN;
	struct watch *w;

	if (UNLIKELY(!watch_is_joined(o)) && !watch_join(o))
		return WATCH_PLAIN;
	w = o->watch;
	*weight = 1;
	/* Where no allocation finds a chunk by itself, each one is asked about. */
	if (owner_slow && opt.sample_rate != 0)
		guard_count(w, 1);
	if (w->guard_due) {
		w->guard_due = false;
		what = WATCH_GUARD;
	} else if (rate == WATCH_ALL) {
		what = WATCH_SAMPLE;
	} else if (rate != 0 && w->skip[class_no] != 0) {
		what = WATCH_STEP;
		if (--w->skip[class_no] == 0) {
			what = WATCH_SAMPLE;
			w->nskipping--;
			if (!is_sparse(class_no, rate))
				*weight = w->due[class_no];
			w->due[class_no] -= *weight;
			profile_count(w, class_no, size_classes[class_no].size, rate);
		}
	}
	alert_set(o);
	return what;
}

bool
watch_large(struct owner *o, size_t n)
{
	uint32_t rate = load_relaxed(&owner_watch.profile_rate);
	struct watch *w = o->watch;

	if (rate <= WATCH_ALL)
		return rate == WATCH_ALL;
	w->profile_left -= (int64_t)n;
	if (LIKELY(w->profile_left >= 0))
		return false;
	w->profile_left = draw(rate);
	return true;
}
