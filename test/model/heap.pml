/*
 * heap.pml: pages of chunks between threads: remote frees and the inbox, the end of a thread and
 * the adoption of its pages, release of an emptied page, and giving back memory inside a page.
 *
 * Each function is the one of the same name in src/chunk; each statement or atomic block is one
 * access to shared memory. model.py says which sizes are tried, and breaks the order of two steps
 * (BREAK) to see that the model finds it. NT, NP, NCLASS and LAG are given to spin, the others to
 * pan.
 *
 *   NT       threads; each frees what it holds, and ends. Between them they allocate up to ALLOCS
 *            chunks and free them again, and give memory back up to PURGES times; all in any order
 *   NP       pages, of two chunks each
 *   NCLASS   size classes: how many inboxes an owner has; a page that is empty can get another class
 *   FILLED   pages are owner 1's at the start with all chunks in use, by any threads
 *   DOUBLE   chunk 0 is freed by each thread
 *   SPARES   owners keep an empty page
 *   DECAYS   times that any thread gives back the empty pages that all owners keep
 *   LAG      other threads see an owner's plain stores to bits only some time later
 */
#ifndef NT
#define NT 2
#endif
#ifndef NP
#define NP 1
#endif
#ifndef NCLASS
#define NCLASS 1
#endif
/* Given in the environment of the search. */
byte FILLED, ALLOCS, PURGES, DOUBLE, SPARES, DECAYS, BREAK;
/* What can be broken. */
#define READ_REMOTE_FIRST 1     /* the owner reads remote before it clears PENDING */
#define CLAIM_FIRST 2           /* the freeing thread looks at PENDING before its bit is set */
#define DRAIN_FIRST 3           /* the end of a thread: drained before it is parked */
#define RELEASE_BLINDLY 4       /* an empty page is released without looking at PENDING */
#define TRANSFER_BLINDLY 5      /* a page changes hands without looking at PENDING */
#define NEXT_LATER 6            /* the inbox is followed after the page was collected */
#define PURGE_LOOKS_FIRST 7     /* purging looks at the state before it says that it purges */
#define CURRENT_LOOKS_FIRST 8   /* the owner looks for purging before it says current */
#define STATE_OVERTAKES 9       /* the state of a page is seen before the bits it stands for */
#define COLLECT_TRUSTS 10       /* what is collected is not compared with what is free */
#define PUSH_LOOKS_FIRST 11     /* the freeing thread asks whether parked before it pushes */
#define ADOPT_UNLOCKED 12       /* pages of an ended thread are taken without the lock */
#define PUSHED_CLEARED_LATER 13 /* the owner says that it has drained after it has */
#define PUSHED_SAID_FIRST 14    /* the freeing thread says that it has pushed before it has */
#define SPARE_USED_BLINDLY 15   /* a kept page is used without looking at PENDING */
#define SPARE_GIVEN_BLINDLY 16  /* a kept page is given back without looking at PENDING */
#define SPARE_STATE_LATER 17    /* the word says that a page is kept before its state does */
#define SPARE_FORGOTTEN 18      /* a kept page that was pending when its thread ended stays */
#define SPARES_STAY 19          /* the end of a thread: what it keeps stays */
#define DRAIN_ONE 20            /* the end of a thread: only one class is drained */
#define REUSED_AS_IS 21         /* a page of another class has its owner before its class */

#define NC 2
#define NONE 255
#define NOBODY 0
#define PENDING 1
#define PURGING 2
#define SPARE 4
#define FLAGS 7
#define WORD(o) ((o) * 8)
#define OWNER(w) ((w) / 8)
#define INBOX(o, cl) inbox[(o) * NCLASS + (cl)]
#define PAGE(o, cl) page[(o) * NCLASS + (cl)]
#if NCLASS > 1
#define NO_INBOX(o) (INBOX(o, 0) == NONE && INBOX(o, 1) == NONE)
#else
#define NO_INBOX(o) (INBOX(o, 0) == NONE)
#endif
#define COUNT(b) (((b) & 1) + ((b) >> 1))
#define LOWEST(b) ((b) & 1 -> 0 : 1)
#define IN_HEAP(p, o, cl) (heap[p] == o && class[p] == cl)
#if NP > 1
#define NONE_IN_HEAP(o, cl) (!IN_HEAP(0, o, cl) && !IN_HEAP(1, o, cl))
#else
#define NONE_IN_HEAP(o, cl) (!IN_HEAP(0, o, cl))
#endif
#define LIVE_CHUNKS(p) (NC - COUNT(bits[p]))
#define WAKE 1
#define FOREVER 100

mtype = {CURRENT, AVAIL, FULL, KEPT, NEW, LIVE, PARKED};

/* The page_dir entries. A page without owner is on its way, or free when run_free says so. */
byte word[NP];
byte bits[NP];
byte remote[NP];
byte class[NP];
mtype state[NP];
short countdown[NP];
byte inbox_next[NP];
bool run_free[NP];

/* The owners: 1 to NT. */
mtype owner_state[NT + 1];
byte inbox[(NT + 1) * NCLASS];
bool pushed[NT + 1];
byte page[(NT + 1) * NCLASS]; /* current, of each class */
byte kept[NT + 1]; /* owner.spare, with room for one page */
byte heap[NP]; /* whose heap of available pages a page is in, of the class that it has */

byte lock_parked; /* the thread that holds it */
byte lock_purge;

/* What the program believes; not part of the allocator. */
bool used[NP * NC];
byte holder[NP * NC];   /* the thread that has to free a chunk */
byte thread_of[NT + 1]; /* of a live owner */
byte allocs, purges, decays;
byte pushing[NT + 1]; /* threads between pushing a page and saying so */
byte reports;
byte ended;

#ifdef LAG
byte seen[NP]; /* bits as other threads see them */
#define SEEN(p) seen[p]
/* What was stored before is seen by everybody from here on. */
#define RELEASED(p) (seen[p] == bits[p] || BREAK == STATE_OVERTAKES)
active proctype memory()
{
	byte p;

end:
	do
	:: atomic { seen[0] != bits[0] -> seen[0] = bits[0] }
	:: ended == NT -> break
	od
}
#else
#define SEEN(p) bits[p]
#define RELEASED(p) true
#endif

/* Who may touch an owner: its thread, or for a parked one who holds the lock. */
#define TOUCH(o) \
	assert(owner_state[o] == LIVE -> thread_of[o] == self : lock_parked == self)
#define TAKE(lock) atomic { lock == 0 -> lock = self }
#define DROP(lock) lock = 0
#include "page.pml"
#include "owner.pml"
#include "thread.pml"

/* --- threads ------ */

#define HOLDS(c) (used[c] && holder[c] == self)
#if NP > 1
#define EMPTY_HANDED (!HOLDS(0) && !HOLDS(1) && !HOLDS(2) && !HOLDS(3) && !again)
#else
#define EMPTY_HANDED (!HOLDS(0) && !HOLDS(1) && !again)
#endif

/* What a function leaves behind makes no difference, and would make many states of one. */
inline forget()
{
	d_step {
		p = 0; pg = 0; pc = 0; c = 0; cls = 0; b = 0; w = 0; o = 0; to = 0; from = 0; head = 0; freed = 0;
		dp = 0; dn = 0; sp = 0; k = 0; done = false; parked = false; s = 0
	}
}

proctype thread(byte self; byte mine)
{
	byte p, pg, pc, c, cls, b, w, o, to, from, head, freed, dp, dn, sp, k;
	bool done, parked;
	mtype s;
	bool again = DOUBLE;

	do
	:: atomic {
			!EMPTY_HANDED ->
			forget();
			if
			:: HOLDS(0) -> c = 0
			:: HOLDS(1) -> c = 1
#if NP > 1
			:: HOLDS(2) -> c = 2
			:: HOLDS(3) -> c = 3
#endif
			:: again -> again = false; c = 0
			fi
		}
		free_chunk(c)
	:: atomic {
			allocs > 0 ->
			allocs--;
			forget();
			if
			:: cls = 0
#if NCLASS > 1
			:: cls = 1
#endif
			fi
		}
		allocate(cls)
	:: atomic { purges > 0 -> purges--; forget() } chunk_purge(0)
	:: atomic { decays > 0 -> decays--; forget() } owner_trim_spares()
	:: atomic { EMPTY_HANDED -> forget(); break }
	od;
	if
	:: mine != NOBODY -> owner_park()
	:: else
	fi;
	ended++
}

/* All threads have ended: nothing waits, nothing is lost, nothing was freed twice. */
inline examine(p)
{
	assert((word[p] & (PENDING | PURGING)) == 0);
	assert(((word[p] & SPARE) -> PURGES > 0 && state[p] == KEPT :
	    word[p] == NOBODY || state[p] == FULL || state[p] == AVAIL));
	assert(word[p] == NOBODY || remote[p] == 0);
	assert(word[p] == NOBODY || (bits[p] == (used[p * NC] -> 0 : 1) +
	    (used[p * NC + 1] -> 0 : 2)));
	assert(word[p] != NOBODY || run_free[p]);
	/* Purging keeps a page from being released; it stays for the next who needs one. */
	assert(word[p] == NOBODY || PURGES > 0 || bits[p] != 3)
}

#define GIVEN(name, value) getenv(name) != NULL ? atoi(getenv(name)) : value

init {
	byte i, k;

	atomic {
		c_code {
			now.FILLED = GIVEN("FILLED", 1);
			now.ALLOCS = GIVEN("ALLOCS", 0);
			now.PURGES = GIVEN("PURGES", 0);
			now.DOUBLE = GIVEN("DOUBLE", 0);
			now.SPARES = GIVEN("SPARES", 0);
			now.DECAYS = GIVEN("DECAYS", 0);
			now.BREAK = GIVEN("BREAK", 0);
		};
		allocs = ALLOCS;
		purges = PURGES;
		decays = DECAYS;
		for (i : 1 .. NT) {
			owner_state[i] = NEW;
			kept[i] = NONE;
			for (k : 0 .. NCLASS - 1) {
				INBOX(i, k) = NONE;
				PAGE(i, k) = NONE
			}
		}
		for (i : 0 .. NP - 1) {
			run_free[i] = i >= FILLED;
			inbox_next[i] = NONE
		}
		owner_state[1] = LIVE;
		thread_of[1] = 1;
		for (i : 0 .. FILLED - 1) {
			word[i] = WORD(1);
			state[i] = FULL;
			countdown[i] = WAKE
		}
		for (i : 0 .. FILLED * NC - 1) {
			used[i] = true;
			select(k : 1 .. NT);
			holder[i] = k
		}
		/* Full, or the last chunks of a current page. */
		if
		:: true
		:: state[0] = CURRENT; countdown[0] = FOREVER; PAGE(1, 0) = 0
		fi;
		/* What an owner believes to keep may be out of date. */
		if
		:: SPARES -> kept[1] = 0
		:: true
		fi;
		if
		:: DOUBLE -> holder[0] = 0; holder[1] = 0
		:: else
		fi;
		run thread(1, 1);
		run thread(2, NOBODY);
#if NT > 2
		run thread(3, NOBODY);
#endif
	}
	ended == NT;
	for (i : 1 .. NT) {
		assert(NO_INBOX(i))
	}
	for (i : 0 .. NP - 1) {
		examine(i)
	}
	assert(reports == (DOUBLE -> NT - 1 : 0))
}
