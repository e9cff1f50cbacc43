/*
 * owner.c: owners come and go with threads; see owner.h. The lists of owners are protected by
 * LOCK_PARKED, which also stands for the thread of every parked owner.
 */
#include "chunk/owner.h"

#include "chunk/chunk.h"
#include "chunk/pgheap.h"
#include "conf/conf.h"
#include "os/env.h"
#include "os/lock.h"
#include "os/thread.h"
#include "page/page_alloc.h"

/* Parked owners looked at for one page, so that the cost of a page is bounded. */
#define ADOPT_TRIES 8
/* Parked owners looked at for one whose memory the processor of a new thread may still have. */
#define NEAR_TRIES 16
/* Of so many parked owners each keeps its spare pages, for the next thread. */
#define KEEP_PARKED 8U
/* Turns of other destructors an ending thread's owner waits for. */
#define EXIT_ROUNDS 1U

uint64_t owner_nothing;

/*
 * Its slots never have a chunk and no page has it as owner, so both fast paths turn it away.
 * Complete without any code run: ld.so and constructors of others allocate before ours.
 */
struct owner owner_none = {
	.direct = {[0 ... CLASS_DIRECT_COUNT - 1] = &owner_none.slots[0]},
	.slots = {[0 ... CLASS_COUNT - 1] = {.word = &owner_nothing, .bits = &owner_nothing,
	    .class_no = CLASS_NONE}},
};
__thread struct owner *owner_self __attribute__((tls_model("initial-exec"))) = &owner_none;
uintptr_t owner_tag;
bool owner_slow;
bool owner_slow_zero;
union owner_watch owner_watch;
struct owner *owner_sampled;

static __thread bool exited __attribute__((tls_model("initial-exec")));
struct owner *owner_list;
static struct owner *parked;
static unsigned nparked; /* read without the lock as a hint */
static struct owner *late;

bool
owner_exited(void)
{
	return exited;
}

/* Every slot without a chunk, and direct as the options want it. */
static void
owner_clear(struct owner *o)
{
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		o->slots[c].word = o->slots[c].bits = &owner_nothing;
		o->slots[c].size = size_classes[c].size;
		o->slots[c].class_no = (uint8_t)c;
	}
	for (unsigned i = 0; i < CLASS_DIRECT_COUNT; i++)
		o->direct[i] = owner_slow ? &owner_none.slots[0] :
		    &o->slots[size_class_of((size_t)i * 16)];
	if (owner_slow_zero)
		o->direct[0] = &owner_none.slots[0];
}

static void owner_park(void *value);

void
owner_init(bool tagged)
{
	owner_tag = tagged ? OWNER_TAG : 0;
	(void)thread_exit_init(owner_park);
}

/* A new owner in the list of all; NULL when there is no memory. LOCK_PARKED held. */
static struct owner *
owner_new(enum owner_state state)
{
	struct owner *o = pages_meta_take(sizeof(*o));

	if (o == NULL)
		return NULL;
	owner_clear(o);
	o->alert = opt.looked;
	o->state = (int)state;
	o->next = owner_list;
	owner_list = o;
	return o;
}

/* Takes the owner out that was parked last, on this processor if there is one; LOCK_PARKED held. */
static struct owner *
unpark(void)
{
	struct owner **at = &parked, *o;
	int cpu = env_cpu();

	for (int i = 0; *at != NULL && (*at)->cpu != cpu && i < NEAR_TRIES; i++)
		at = &(*at)->next_parked;
	if (*at == NULL || (*at)->cpu != cpu)
		at = &parked;
	o = *at;
	if (o != NULL) {
		*at = o->next_parked;
		store_relaxed(&nparked, nparked - 1);
	}
	return o;
}

struct owner *
owner_attach(void)
{
	struct owner *o;

	if (exited)
		return NULL;
	lock_take(LOCK_PARKED);
	o = unpark();
	if (o != NULL) {
		o->exit_rounds = 0;
		__atomic_store_n(&o->state, OWNER_LIVE, __ATOMIC_SEQ_CST);
	} else {
		o = owner_new(OWNER_LIVE);
	}
	lock_drop(LOCK_PARKED);
	if (o == NULL)
		return NULL;
	o->thread = env_thread();
	store_relaxed(&o->drained_ms, env_clock_ms());
	owner_self = o;
	(void)thread_exit_arm(o);
	return o;
}

/*
 * At the end of a thread. The value is not looked at: programs that use a key they never made
 * have been seen to set other people's.
 */
static void
owner_park(void *value)
{
	struct owner *o = owner_self;
	bool keep;

	(void)value;
	if (o == &owner_none)
		return;
	if (o->exit_rounds++ < EXIT_ROUNDS && thread_exit_arm(o))
		return;
	owner_ends(o);
	keep = load_relaxed(&nparked) < KEEP_PARKED;
	chunk_retire_all(o, keep);
	if (!keep)
		(void)owner_release_spare(o);
	exited = true;
	owner_self = &owner_none;
	lock_take(LOCK_PARKED);
	/*
	 * Parked first, drained second: a thread that pushes to the inbox after the drain sees
	 * that the owner is parked, and collects it.
	 */
	__atomic_store_n(&o->state, OWNER_PARKED, __ATOMIC_SEQ_CST);
	chunk_drain(o);
	o->cpu = env_cpu();
	o->next_parked = parked;
	parked = o;
	store_relaxed(&nparked, nparked + 1);
	lock_drop(LOCK_PARKED);
}

struct owner *
owner_late(void)
{
	if (late == NULL) {
		lock_take(LOCK_PARKED);
		late = owner_new(OWNER_LATE);
		lock_drop(LOCK_PARKED);
	}
	return late;
}

bool
owner_sampled_init(void)
{
	lock_take(LOCK_PARKED);
	if (owner_sampled == NULL)
		store_release(&owner_sampled, owner_new(OWNER_SAMPLED));
	lock_drop(LOCK_PARKED);
	return owner_sampled != NULL;
}

bool
owner_watch_init(struct owner *o)
{
	o->watch = pages_meta_take(sizeof(*o->watch));
	return o->watch != NULL;
}

/* Makes a page of a parked owner the property of another. False when it is pending. */
static bool
page_transfer(struct owner *from, struct owner *to, struct pginfo *pg)
{
	uintptr_t word = (uintptr_t)from | owner_tag;

	return __atomic_compare_exchange_n(&pg->owner, &word, (uintptr_t)to | owner_tag, false,
	    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

struct pginfo *
owner_adopt(struct owner *o, unsigned class_no)
{
	struct pginfo *pg = NULL;
	struct owner *from;

	if (o->state != OWNER_LIVE)
		return NULL;
	if (UNLIKELY(load_relaxed(&owner_lost))) {
		pg = owner_find_lost(o, class_no);
		if (pg != NULL)
			return pg;
	}
	if (LIKELY(load_relaxed(&nparked) == 0))
		return NULL;
	lock_take(LOCK_PARKED);
	from = parked;
	for (int i = 0; from != NULL && i < ADOPT_TRIES; i++, from = from->next_parked) {
		if (load_relaxed(&from->inbox[class_no]) != NULL)
			chunk_drain_class(from, class_no);
		pg = from->slots[class_no].avail;
		if (pg == NULL)
			continue;
		chunk_unlink(from, pg);
		if (page_transfer(from, o, pg))
			break;
		chunk_link(from, pg);
		pg = NULL;
	}
	lock_drop(LOCK_PARKED);
	return pg;
}

void
owner_adopt_page(struct owner *from, struct pginfo *pg, unsigned class_no)
{
	struct owner *o = owner_self;

	lock_take(LOCK_PARKED);
	if (from->state == OWNER_PARKED) {
		chunk_drain_class(from, class_no);
		/* The page may have been released by that, or be somebody else's by now. */
		if (o != &owner_none && load_relaxed(&pg->owner) == ((uintptr_t)from | owner_tag)) {
			chunk_unlink(from, pg);
			if (page_transfer(from, o, pg))
				chunk_link(o, pg);
			else
				chunk_link(from, pg);
		}
	}
	lock_drop(LOCK_PARKED);
}

bool
owner_trim(struct owner *o)
{
	bool any;

	chunk_drain(o);
	any = chunk_release_empty(o);
	any |= chunk_purge_current(o);
	return any;
}

bool
owner_trim_spares(void)
{
	bool any = false;

	lock_take(LOCK_PARKED);
	for (struct owner *o = owner_list; o != NULL; o = o->next)
		any |= owner_release_spare(o);
	lock_drop(LOCK_PARKED);
	return any;
}

bool
owner_trim_parked(void)
{
	bool any = false;

	lock_take(LOCK_PARKED);
	for (struct owner *o = parked; o != NULL; o = o->next_parked)
		any |= owner_trim(o);
	lock_drop(LOCK_PARKED);
	return any;
}
