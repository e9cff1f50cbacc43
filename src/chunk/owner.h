/*
 * owner.h: the thread that may take and free chunks of a page without a lock.
 *
 * Everything else asks "who is the owner" through this header. A thread gets an owner at its
 * first allocation. When the thread ends its owner is parked, with its partly used pages: the
 * next new thread takes the owner over as it is, and until then any thread may adopt pages of it.
 *
 * States and who may touch an owner's fields other than the inbox and the state itself:
 *   OWNER_LIVE     its thread, without a lock
 *   OWNER_PARKED   whoever holds LOCK_PARKED
 *   OWNER_LATE     whoever holds LOCK_LATE: serves threads that are past their end
 *   OWNER_SAMPLED  whoever holds LOCK_SAMPLED: has the chunks that a profile follows, and no thread
 *   OWNER_LOST     nobody: its thread was not copied by fork; its pages are found again, see lost.c
 *
 * A page changes hands by compare-and-swap of pginfo.owner, from an owner without
 * PGINFO_PENDING, by whoever may touch that owner. PGINFO_PENDING is set by the thread that
 * frees remotely and thereby promises to push the page on that owner's inbox; it is cleared by
 * whoever drains the inbox. So a page that is pending is in exactly one inbox, or about to be,
 * and neither changes hands nor is released.
 *
 * Any thread may give the OS pages back that hold no chunk in use, in any page that is not
 * current: chunks are only taken from current pages. It sets PGINFO_PURGING first and looks at the
 * state second; the owner sets the state first and looks at PGINFO_PURGING second.
 *
 * Invariants, walked by chunk_check():
 *   C1  A page of chunks has the class, reciprocal and count of its size class.
 *   C2  Bits that stand for no chunk are 1 in bits and 0 in remote.
 *   C3  No chunk is free both in bits and in remote.
 *   C4  Chunks of remote that are free imply PGINFO_PENDING (when no thread frees right now).
 *   C5  A current page is the page of its class's slot; an available one is in its pairing heap,
 *       exactly once; a full one is in neither.
 *   C6  For an available page countdown is the number of chunks in use; for a full page it is
 *       the number that has to be freed until the class's wake chunks are free.
 *   C7  A slot's word is a word of the current page, or the empty word when there is none.
 *   C8  A page has PGINFO_SPARE in its word exactly when it is spare, and then no chunk in use.
 *   C9  In a current page the words from the slot's end on are wholly free.
 */
#ifndef PHK_OWNER_H
#define PHK_OWNER_H

#include "chunk/size_class.h"
#include "page/page.h"

/*
 * What an owner has of a class, one cache line: the first half is what malloc needs to take a
 * chunk, the second what it needs to find the next word. Malloc goes over the words of the current
 * page from the first to the last in use, and then again: a pass.
 */
struct slot {
	uint64_t *word;       /* bitmap word that chunks are taken from */
	uint64_t none;        /* what the word is when no chunk is left in it */
	char *base;           /* chunk of the lowest bit of word `at` */
	size_t size;
	struct pginfo *page;  /* current */
	uint64_t *bits;       /* its bitmap */
	struct pginfo *avail; /* lowest page with free chunks: root of a pairing heap */
	int32_t pass_start;   /* the page's countdown when the pass began */
	uint8_t at;           /* word of the pass */
	uint8_t end;          /* words from here on are wholly free, and not used before they must be */
	uint8_t class_no;
} ALIGNED(CACHE_LINE);

_Static_assert(sizeof(struct slot) == CACHE_LINE, "a slot is a cache line");

/* Empty pages that an owner keeps, 1 MiB. */
#define SPARE_MAX 16U
/* Runs that an owner keeps for large allocations; pages of one, 256 KiB; of all, 1.25 MiB. */
#define KEPT_MAX 16U
#define KEPT_LENGTH_MAX 4U
#define KEPT_NPAGES 20U

enum owner_state {
	OWNER_LIVE,
	OWNER_PARKED,
	OWNER_LATE,
	OWNER_LOST,
	OWNER_SAMPLED,
};

/* What watch/ counts to take samples; an owner has it once something was watched for. */
struct watch {
	uint64_t joined;               /* owner_watch that the rest is for */
	int64_t guard_left;            /* allocations until one is guarded */
	int64_t profile_left;          /* bytes until one is in the profile */
	int32_t seen[CLASS_COUNT];     /* free chunks and countdown of the current page then */
	uint32_t due[CLASS_COUNT];     /* samples of the class still to be taken */
	uint8_t skip[CLASS_COUNT];     /* allocations until one of them is; 0 when none is due */
	uint8_t nskipping;             /* classes where skip is not 0 */
	bool guard_due;
	bool each;                     /* every allocation is asked about */
};
#define WATCH_UNSEEN INT32_MIN

/*
 * Not 0 while samples are taken. The rate and the session are also written from outside the
 * process, see phkmalloc_inspect.h.
 */
union owner_watch {
	struct {
		uint32_t profile_rate; /* mean bytes from one sample to the next, 0 is off */
		uint16_t session;      /* grows when the rate is changed */
		uint16_t guard;        /* option W: set at start, for good */
	};
	uint64_t any;
};
extern union owner_watch owner_watch HIDDEN;

/*
 * What rounding up to chunks of a class adds, seen on the slow path: a sample, of one allocation
 * for each pass over a page or word of a new one. Older ones weigh less.
 */
struct rounding {
	uint32_t nlooks;
	uint32_t nbytes; /* summed over those */
};
#define ROUNDING_LOOKS_MAX ((uint32_t)1 << 16)

struct owner {
	struct slot *direct[CLASS_DIRECT_COUNT]; /* slot by (size + 15) / 16 */
	struct slot slots[CLASS_COUNT];
	uint64_t nfreed[CLASS_COUNT];            /* chunks freed, as far as countdowns were read */
	struct rounding rounding[CLASS_COUNT];
	uint64_t large_nmalloc;                  /* large allocations of its thread, */
	uint64_t large_nfree;                    /* and its frees of any */
	struct owner *next;                      /* of all owners ever made */
	struct owner *next_parked;
	struct watch *watch;                     /* or NULL */
	bool alert;                              /* options or watch/ see what is on a slow path */
	int thread;                              /* the kernel's number of its thread */
	int cpu;                                 /* where its thread ended */
	uint64_t spare_ms;                       /* when it emptied a page last; others read it */
	struct pginfo *spare[SPARE_MAX];         /* empty pages, as far as nobody took them */
	struct pginfo *kept[KEPT_MAX];           /* runs, as far as nobody took them */
	uint8_t kept_npages[KEPT_MAX];           /* how long each was when it was kept */
	unsigned kept_turn;                      /* runs there was no room for */
	uint32_t kept_nwaits;                    /* waits for the page lock it knows of, */
	uint32_t kept_left;                      /* and runs to be kept because of them */
	bool hurried;                            /* its current pages were told of page_surplus */
	unsigned nvisits;                        /* pages that malloc came to the end of */
	unsigned npushes;                        /* pages pushed on inboxes of others */
	unsigned exit_rounds;                    /* destructor rounds the ending thread has seen */
	struct held *held;                       /* freed and held back by options */
	struct pginfo *inbox[CLASS_COUNT] ALIGNED(CACHE_LINE); /* atomic: pages with remote frees */
	bool pushed;                              /* atomic: some inbox may have pages */
	int state;                                /* enum owner_state; atomic */
	uint64_t drained_ms;                      /* when the inbox was looked at; a hint for others */
};

/* The owner of the calling thread; owner_none before its first allocation and after its end. */
extern __thread struct owner *owner_self __attribute__((tls_model("initial-exec")));
extern struct owner owner_none HIDDEN;
/* A bitmap word that never has a free chunk, for slots without a page. */
extern uint64_t owner_nothing HIDDEN;

/* Or-ed to the owner in page_dir entries to send every free() to the slow path. */
#define OWNER_TAG 2U
extern uintptr_t owner_tag HIDDEN;
/* Sends every malloc() to the slow path; set before owner_init. */
extern bool owner_slow;
/* The same for malloc(0) only. */
extern bool owner_slow_zero;

ALWAYS_INLINE struct owner *
owner_of_word(uintptr_t word)
{
	return (struct owner *)(word & ~(uintptr_t)PGINFO_FLAGS);
}

/* What the entries of its pages say, but for what passes. Samples are looked at each, too. */
ALWAYS_INLINE uintptr_t
owner_word(const struct owner *o)
{
	return (uintptr_t)o | (o->state == OWNER_SAMPLED ? OWNER_TAG : owner_tag);
}

ALWAYS_INLINE bool
owner_is(uintptr_t word)
{
	return word >= CACHE_LINE;
}

/* Gives the calling thread an owner. NULL when there is no memory or the thread has ended. */
struct owner *owner_attach(void);
/* Provided by heap/: gives up what options hold back for the owner, whose thread ends. */
void owner_ends(struct owner *o);
/* True when the calling thread is past its end and has no owner any more. */
bool owner_exited(void);
/* The owner for such threads, to be used with LOCK_LATE held; NULL when there is no memory. */
struct owner *owner_late(void);

/* The owner of the chunks that a profile follows; NULL before there is one. LOCK_SAMPLED. */
extern struct owner *owner_sampled;
bool owner_sampled_init(void);
/* Gives an owner its counters; false when there is no memory. The caller may touch the owner. */
bool owner_watch_init(struct owner *o);
/* Provided by watch/, while samples are taken: looks at the current page, nfree of it are free. */
void watch_look(struct owner *o, const struct pginfo *pg, size_t nfree);
/* The countdown of the current page was set anew, to so many more than it was. */
void watch_moved(struct owner *o, const struct pginfo *pg, int32_t by);

/* Takes a page of this class with free chunks from a parked owner; NULL when none is found. */
struct pginfo *owner_adopt(struct owner *o, unsigned class_no);
/*
 * After a remote free to a page of a parked owner and the class: makes the page the caller's own,
 * or at least collects what was freed.
 */
void owner_adopt_page(struct owner *parked, struct pginfo *pg, unsigned class_no);

/* True while there may be pages of threads that fork did not copy; a hint. */
extern bool owner_lost;
/* Takes over some of them, for the caller's owner; a page of the class, in no list, or NULL. */
struct pginfo *owner_find_lost(struct owner *o, unsigned class_no);
/* Takes over all that have chunks free. */
void owner_take_lost(struct owner *o);
/* After a remote free to one: makes it the caller's own. */
void owner_take_lost_page(struct pginfo *pg);

/* All owners, newest first; LOCK_PARKED held. */
extern struct owner *owner_list;
/* Gives the empty pages back that an owner keeps; any thread, for any owner. */
bool owner_release_spare(struct owner *o);
/* Releases what an owner's pages hold free in vain. The caller may touch the owner. */
bool owner_trim(struct owner *o);
/* The same for all parked owners. */
bool owner_trim_parked(void);
/* Gives the empty pages back that any owner keeps; true when there were any. */
bool owner_trim_spares(void);

/* At start, and in the child of fork, where only the calling thread lives on. */
void owner_init(bool tagged);
void owner_after_fork(void);

#endif
