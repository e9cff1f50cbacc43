/*
 * heap.pml: pages of chunks between threads: remote frees and the inbox, the end of a thread and
 * the adoption of its pages, release of an emptied page, and giving back memory inside a page.
 *
 * Each function is the one of the same name in src/chunk; each statement or atomic block is one
 * access to shared memory. model.py says which sizes are tried, and breaks the order of two steps
 * (BREAK) to see that the model finds it. NT, NP and LAG are given to spin, the others to pan.
 *
 *   NT       threads; each frees what it holds, and ends. Between them they allocate up to ALLOCS
 *            chunks and free them again, and give memory back up to PURGES times; all in any order
 *   NP       pages, of two chunks each
 *   FILLED   of them are owner 1's at the start with all chunks in use, by any threads
 *   DOUBLE   chunk 0 is freed by each thread
 *   LAG      other threads see an owner's plain stores to bits only some time later
 */
#ifndef NT
#define NT 2
#endif
#ifndef NP
#define NP 1
#endif
/* Given in the environment of the search. */
byte FILLED, ALLOCS, PURGES, DOUBLE, BREAK;
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

#define NC 2
#define NONE 255
#define NOBODY 0
#define PENDING 1
#define PURGING 2
#define WORD(o) ((o) * 4)
#define OWNER(w) ((w) / 4)
#define COUNT(b) (((b) & 1) + ((b) >> 1))
#define LOWEST(b) ((b) & 1 -> 0 : 1)
#define LIVE_CHUNKS(p) (NC - COUNT(bits[p]))
#define WAKE 1
#define FOREVER 100

mtype = {CURRENT, AVAIL, FULL, NEW, LIVE, PARKED};

/* The page_dir entries. A page without owner is on its way, or free when run_free says so. */
byte word[NP];
byte bits[NP];
byte remote[NP];
mtype state[NP];
short countdown[NP];
byte inbox_next[NP];
bool run_free[NP];

/* The owners: 1 to NT. */
mtype owner_state[NT + 1];
byte inbox[NT + 1];
byte page[NT + 1];
byte heap[NP]; /* whose heap of available pages a page is in */

byte lock_parked; /* the thread that holds it */
byte lock_purge;

/* What the program believes; not part of the allocator. */
bool used[NP * NC];
byte holder[NP * NC];   /* the thread that has to free a chunk */
byte thread_of[NT + 1]; /* of a live owner */
byte allocs, purges;
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

/* --- chunk.c: pages come and go ------ */

inline page_release(o, p)
{
	atomic {
		if
		:: word[p] == WORD(o) || (BREAK == RELEASE_BLINDLY && OWNER(word[p]) == o) ->
			word[p] = NOBODY;
			assert(!used[p * NC] && !used[p * NC + 1] && bits[p] == 3);
			done = true
		:: else ->
			done = false
		fi
	}
	if
	:: done ->
		atomic { assert(!run_free[p] && word[p] == NOBODY); run_free[p] = true }
	:: else
	fi
}

/* Classes with few chunks to a page keep a spare one, others not: either may happen. */
inline page_empty(o, p, spare)
{
	if
	:: spare && owner_state[o] == LIVE
	:: true ->
		atomic { TOUCH(o); assert(heap[p] == o); heap[p] = NOBODY }
		page_release(o, p);
		if
		:: !done -> atomic { TOUCH(o); assert(heap[p] == NOBODY); heap[p] = o }
		:: else
		fi
	fi
}

inline chunk_event(o, p)
{
	atomic {
		TOUCH(o);
		if
		:: state[p] == CURRENT -> countdown[p] = FOREVER
		:: state[p] == FULL ->
			state[p] = AVAIL;
			assert(heap[p] == NOBODY);
			heap[p] = o;
			countdown[p] = LIVE_CHUNKS(p)
		:: state[p] == AVAIL -> assert(countdown[p] == 0)
		fi
	}
	if
	:: countdown[p] == 0 -> page_empty(o, p, true)
	:: else
	fi
}

inline page_new(p)
{
	p = NONE;
	atomic {
		if
		:: run_free[0] -> p = 0
#if NP > 1
		:: run_free[1] -> p = 1
#endif
		:: else
		fi;
		if
		:: p != NONE -> run_free[p] = false
		:: else
		fi
	}
	if
	:: p != NONE ->
		atomic { bits[p] = 3; remote[p] = 0; state[p] = AVAIL; countdown[p] = 0 }
		atomic { RELEASED(p) -> word[p] = WORD(mine) }
	:: else
	fi
}

inline page_make_current(p)
{
	page[mine] = p;
	if
	:: BREAK == CURRENT_LOOKS_FIRST -> w = word[p]
	:: else
	fi;
	state[p] = CURRENT;
	if
	:: BREAK != CURRENT_LOOKS_FIRST -> w = word[p]
	:: else
	fi;
	if
	:: w & PURGING -> TAKE(lock_purge); DROP(lock_purge)
	:: else
	fi;
	countdown[p] = FOREVER
}

inline page_sleep(o)
{
	atomic { TOUCH(o); dp = page[o]; page[o] = NONE }
	atomic { RELEASED(dp) -> state[dp] = FULL }
	countdown[dp] = WAKE - COUNT(bits[dp])
}

inline chunk_retire_all(o)
{
	if
	:: page[o] == NONE
	:: page[o] != NONE && COUNT(bits[page[o]]) < WAKE ->
		page_sleep(o)
	:: page[o] != NONE && COUNT(bits[page[o]]) >= WAKE ->
		atomic {
			TOUCH(o);
			dp = page[o];
			page[o] = NONE
		}
		atomic { RELEASED(dp) -> state[dp] = AVAIL }
		atomic {
			countdown[dp] = LIVE_CHUNKS(dp);
			heap[dp] = o
		}
		if
		:: countdown[dp] == 0 -> page_empty(o, dp, false)
		:: else
		fi
	fi
}

inline release_one(o, p)
{
	if
	:: atomic { heap[p] == o && countdown[p] == 0 && (word[p] & PENDING) == 0 -> skip };
		page_empty(o, p, false)
	:: else
	fi
}

inline chunk_release_empty(o)
{
	release_one(o, 0)
#if NP > 1
	;
	release_one(o, 1)
#endif
}

/* --- remote.c: the owner's side ------ */

inline page_collect(o, p)
{
	freed = 0;
	if
	:: BREAK == READ_REMOTE_FIRST -> atomic { freed = remote[p]; remote[p] = 0 }
	:: else
	fi;
	word[p] = word[p] & ~PENDING; /* O1 */
	if
	:: BREAK != READ_REMOTE_FIRST && remote[p] != 0 -> /* O2 */
		atomic { freed = remote[p]; remote[p] = 0 }
	:: else
	fi;
	if
	:: freed != 0 ->
		atomic {
			TOUCH(o);
			if
			:: bits[p] & freed ->
				reports = (BREAK == COLLECT_TRUSTS -> reports : reports + 1);
				freed = freed & (3 - bits[p])
			:: else
			fi;
			bits[p] = bits[p] | freed
		}
		countdown[p] = countdown[p] - COUNT(freed);
	:: else
	fi;
	if
	:: countdown[p] <= 0 -> chunk_event(o, p)
	:: else
	fi
}

inline chunk_drain(o)
{
	atomic { TOUCH(o); dp = inbox[o]; inbox[o] = NONE }
	do
	:: dp == NONE -> break
	:: dp != NONE ->
		dn = inbox_next[dp];
		page_collect(o, dp);
		if
		:: BREAK == NEXT_LATER -> dn = inbox_next[dp]
		:: else
		fi;
		dp = dn
	od
}

/* --- owner.c ------ */

inline page_transfer(from, p)
{
	atomic {
		if
		:: word[p] == WORD(from) || (BREAK == TRANSFER_BLINDLY && OWNER(word[p]) == from) ->
			word[p] = WORD(mine) + (word[p] & 3);
			done = true
		:: else -> done = false
		fi
	}
}

inline chunk_unlink(o, p)
{
	atomic {
		TOUCH(o);
		if
		:: state[p] == AVAIL -> assert(heap[p] == o); heap[p] = NOBODY
		:: else -> assert(state[p] == FULL)
		fi
	}
}

inline chunk_link(o, p)
{
	atomic {
		TOUCH(o);
		if
		:: state[p] == AVAIL -> assert(heap[p] == NOBODY); heap[p] = o
		:: else
		fi
	}
}

inline owner_adopt_page(from, p)
{
	if
	:: BREAK != ADOPT_UNLOCKED -> TAKE(lock_parked)
	:: else
	fi;
	if
	:: owner_state[from] == PARKED ->
		chunk_drain(from);
		if
		:: mine != NOBODY && word[p] == WORD(from) ->
			chunk_unlink(from, p);
			page_transfer(from, p);
			if
			:: done -> chunk_link(mine, p)
			:: else -> chunk_link(from, p)
			fi
		:: else
		fi
	:: else
	fi;
	if
	:: BREAK != ADOPT_UNLOCKED -> DROP(lock_parked)
	:: else
	fi
}

inline adopt_from(from)
{
	if
	:: pg == NONE && from != mine && owner_state[from] == PARKED ->
		if
		:: inbox[from] != NONE -> chunk_drain(from)
		:: else
		fi;
		if
		:: heap[0] == from -> pg = 0
#if NP > 1
		:: heap[1] == from -> pg = 1
#endif
		:: else
		fi;
		if
		:: pg != NONE ->
			chunk_unlink(from, pg);
			page_transfer(from, pg);
			if
			:: done
			:: else -> chunk_link(from, pg); pg = NONE
			fi
		:: else
		fi
	:: else
	fi
}

inline owner_adopt()
{
	TAKE(lock_parked);
	pg = NONE;
	adopt_from(1);
	adopt_from(2);
#if NT > 2
	adopt_from(3);
#endif
	DROP(lock_parked)
}

/* A thread without an owner takes a parked one, or the one of its own number if that is new. */
inline owner_attach()
{
	TAKE(lock_parked);
	atomic {
		if
		:: owner_state[1] == PARKED -> mine = 1
		:: owner_state[2] == PARKED -> mine = 2
#if NT > 2
		:: owner_state[3] == PARKED -> mine = 3
#endif
		:: owner_state[self] == NEW -> mine = self
		fi;
		thread_of[mine] = self;
		owner_state[mine] = LIVE
	}
	DROP(lock_parked)
}

inline owner_park()
{
	TAKE(lock_parked);
	if
	:: BREAK == DRAIN_FIRST -> chunk_drain(mine); owner_state[mine] = PARKED
	:: else -> owner_state[mine] = PARKED; chunk_drain(mine)
	fi;
	chunk_retire_all(mine);
	chunk_release_empty(mine);
	DROP(lock_parked)
}

/* --- remote.c: the freeing thread's side ------ */

/* The owner that the page has to be pushed to, or NOBODY. */
inline claim(p)
{
	atomic {
		to = NOBODY;
		if
		:: OWNER(word[p]) != NOBODY && (word[p] & PENDING) == 0 ->
			to = OWNER(word[p]);
			word[p] = word[p] | PENDING
		:: else
		fi
	}
}

inline inbox_push(o, p)
{
	head = inbox[o];
	do
	:: inbox_next[p] = head;
		atomic {
			if
			:: inbox[o] == head -> inbox[o] = p; break
			:: else -> head = inbox[o]
			fi
		}
	od
}

inline remote_free(p, b)
{
	if
	:: SEEN(p) & b -> reports++
	:: else ->
		to = NOBODY;
		if
		:: BREAK == CLAIM_FIRST -> claim(p)
		:: else
		fi;
		atomic { /* R1 */
			freed = remote[p] & b;
			remote[p] = remote[p] | b
		}
		if
		:: freed != 0 -> reports++
		:: else ->
			if
			:: BREAK != CLAIM_FIRST -> claim(p) /* R2 */
			:: else
			fi;
			if
			:: to != NOBODY ->
				o = to;
				pg = p;
				if
				:: BREAK == PUSH_LOOKS_FIRST -> parked = owner_state[o] == PARKED
				:: else
				fi;
				inbox_push(o, pg);
				if
				:: BREAK != PUSH_LOOKS_FIRST -> parked = owner_state[o] == PARKED
				:: else
				fi;
				if
				:: parked -> owner_adopt_page(o, pg)
				:: else
				fi;
				if
				:: mine != NOBODY && inbox[mine] != NONE -> chunk_drain(mine)
				:: else
				fi
			:: else
			fi
		fi
	fi
}

/* The owner's free of a page that is pending. */
inline local_free(p, b)
{
	if
	:: (bits[p] & b) || (remote[p] & b) -> reports++
	:: else ->
		bits[p] = bits[p] | b;
		countdown[p]--;
		if
		:: countdown[p] <= 0 -> chunk_event(mine, p)
		:: else
		fi
	fi
}

/* --- the public functions ------ */

inline free_chunk(c)
{
	atomic { used[c] = false; p = c / NC; b = 1 << (c % NC) }
	w = word[p];
	if
	:: mine != NOBODY && w == WORD(mine) && (bits[p] & b) == 0 ->
		atomic { TOUCH(mine); bits[p] = bits[p] | b }
		countdown[p]--;
		if
		:: countdown[p] == 0 -> chunk_event(mine, p)
		:: else
		fi
	:: else ->
		w = word[p];
		assert(OWNER(w) != NOBODY);
		if
		:: OWNER(w) == mine -> local_free(p, b)
		:: else -> remote_free(p, b)
		fi
	fi
}

/* The slow path; the fast path is its first branch. */
inline allocate()
{
	if
	:: mine == NOBODY -> owner_attach()
	:: else
	fi;
	if
	:: inbox[mine] != NONE -> chunk_drain(mine)
	:: else
	fi;
	do
	:: page[mine] != NONE && bits[page[mine]] != 0 ->
		atomic {
			TOUCH(mine);
			p = page[mine];
			c = p * NC + LOWEST(bits[p]);
			bits[p] = bits[p] & (bits[p] - 1);
			assert(!used[c]);
			used[c] = true;
			holder[c] = self
		}
		break
	:: page[mine] != NONE && bits[page[mine]] == 0 ->
		page_sleep(mine)
	:: page[mine] == NONE ->
		atomic {
			TOUCH(mine);
			pg = NONE;
			if
			:: heap[0] == mine -> pg = 0
#if NP > 1
			:: heap[0] != mine && heap[1] == mine -> pg = 1
#endif
			:: else
			fi;
			if
			:: pg != NONE -> heap[pg] = NOBODY
			:: else
			fi
		}
		if
		:: pg == NONE -> owner_adopt()
		:: else
		fi;
		if
		:: pg == NONE -> page_new(pg)
		:: else
		fi;
		if
		:: pg == NONE -> break
		:: else -> page_make_current(pg)
		fi
	od
}

/* One chunk of the page, which stands for the OS pages that it fills. */
inline purge_hole(p, c, b)
{
	if
	:: (SEEN(p) | remote[p]) & b -> assert(!used[p * NC + c])
	:: else
	fi
}

inline chunk_purge(p)
{
	TAKE(lock_purge);
	s = state[p];
	atomic {
		done = false;
		if
		:: OWNER(word[p]) != NOBODY -> word[p] = word[p] | PURGING; done = true
		:: else
		fi
	}
	if
	:: done ->
		if
		:: BREAK != PURGE_LOOKS_FIRST -> s = state[p]
		:: else
		fi;
		if
		:: s != CURRENT ->
			purge_hole(p, 0, 1);
			purge_hole(p, 1, 2)
		:: else
		fi;
		word[p] = word[p] & ~PURGING
	:: else
	fi;
	DROP(lock_purge)
}

/* --- threads ------ */

#define HOLDS(c) (used[c] && holder[c] == self)
#if NP > 1
#define EMPTY_HANDED (!HOLDS(0) && !HOLDS(1) && !HOLDS(2) && !HOLDS(3) && !again)
#else
#define EMPTY_HANDED (!HOLDS(0) && !HOLDS(1) && !again)
#endif

proctype thread(byte self; byte mine)
{
	byte p, pg, c, b, w, o, to, head, freed, dp, dn;
	bool done, parked;
	mtype s;
	bool again = DOUBLE;

	do
	:: atomic { HOLDS(0) -> c = 0 } free_chunk(c)
	:: atomic { HOLDS(1) -> c = 1 } free_chunk(c)
#if NP > 1
	:: atomic { HOLDS(2) -> c = 2 } free_chunk(c)
	:: atomic { HOLDS(3) -> c = 3 } free_chunk(c)
#endif
	:: atomic { allocs > 0 -> allocs-- } allocate()
	:: atomic { purges > 0 -> purges-- } chunk_purge(0)
	:: atomic { again -> again = false } free_chunk(0)
	:: atomic { EMPTY_HANDED -> break }
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
			now.BREAK = GIVEN("BREAK", 0);
		};
		allocs = ALLOCS;
		purges = PURGES;
		for (i : 1 .. NT) {
			owner_state[i] = NEW;
			inbox[i] = NONE;
			page[i] = NONE
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
		:: state[0] = CURRENT; countdown[0] = FOREVER; page[1] = 0
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
		assert(inbox[i] == NONE)
	}
	for (i : 0 .. NP - 1) {
		examine(i)
	}
	assert(reports == (DOUBLE -> NT - 1 : 0))
}
