/*
 * owner.pml: the owner's side of src/chunk/remote.c, and owner.c: the end of a thread and adoption;
 * see heap.pml.
 */

inline page_collect(o, p)
{
	freed = 0;
	assert(OWNER(word[p]) == o && (word[p] & PENDING));
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

inline chunk_drain_class(o, cl)
{
	atomic { TOUCH(o); dp = INBOX(o, cl); INBOX(o, cl) = NONE }
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

inline chunk_drain(o)
{
	if
	:: BREAK != PUSHED_CLEARED_LATER -> pushed[o] = false
	:: else
	fi;
	do
	:: k < (BREAK == DRAIN_ONE && owner_state[o] == PARKED -> 1 : NCLASS) ->
		if
		:: INBOX(o, k) != NONE -> chunk_drain_class(o, k)
		:: else
		fi;
		k++
	:: else -> k = 0; break
	od;
	if
	:: BREAK == PUSHED_CLEARED_LATER -> pushed[o] = false
	:: else
	fi
}

/*
 * The owner asks whether it has to drain. When it need not there is nothing there, or somebody is
 * about to say so.
 */
#define PUSHED(o, yes) \
	atomic { yes = pushed[o]; assert(yes || NO_INBOX(o) || pushing[o] > 0) }

/* --- owner.c ------ */

inline page_transfer(from, p)
{
	atomic {
		if
		:: word[p] == WORD(from) || (BREAK == TRANSFER_BLINDLY && OWNER(word[p]) == from) ->
			word[p] = WORD(mine) + (word[p] & FLAGS);
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

inline owner_adopt_page(from, p, cl)
{
	if
	:: BREAK != ADOPT_UNLOCKED -> TAKE(lock_parked)
	:: else
	fi;
	if
	:: owner_state[from] == PARKED ->
		chunk_drain_class(from, cl);
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

inline adopt_from(cl)
{
	if
	:: pg == NONE && from != mine && owner_state[from] == PARKED ->
		if
		:: INBOX(from, cl) != NONE -> chunk_drain_class(from, cl)
		:: else
		fi;
		if
		:: heap[0] == from && class[0] == cl -> pg = 0
#if NP > 1
		:: heap[1] == from && class[1] == cl -> pg = 1
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

inline owner_adopt(cl)
{
	TAKE(lock_parked);
	pg = NONE;
	from = 1;
	do
	:: from <= NT -> adopt_from(cl); from++
	:: else -> break
	od;
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
	:: BREAK != DRAIN_FIRST -> owner_state[mine] = PARKED
	:: else
	fi;
	chunk_drain(mine);
	if
	:: BREAK == DRAIN_FIRST -> owner_state[mine] = PARKED
	:: else
	fi;
	chunk_retire_all(mine);
	chunk_release_empty(mine);
	DROP(lock_parked)
}

/* By any thread, for all owners. */
inline owner_trim_spares()
{
	TAKE(lock_parked);
	o = 1;
	do
	:: o <= NT -> owner_release_spare(o); o++
	:: else -> break
	od;
	DROP(lock_parked)
}
