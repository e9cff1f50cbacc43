/*
 * page.pml: pages of chunks come and go: src/chunk/chunk.c and chunk_page.c, see heap.pml.
 */

/* What the page layer gets has no chunk in use, and is in no inbox. */
inline page_give(p)
{
	atomic {
		assert(!run_free[p] && word[p] == NOBODY && heap[p] == NOBODY);
		run_free[p] = true
	}
}

/* Takes the word of a page over, from one value; broken, also from what is pending. */
inline word_exchange(p, from, to, blindly)
{
	atomic {
		if
		:: word[p] == from || (blindly && (word[p] & ~PENDING) == from) ->
			word[p] = to;
			done = true
		:: else ->
			done = false
		fi
	}
}

inline page_release(o, p)
{
	word_exchange(p, WORD(o), NOBODY, BREAK == RELEASE_BLINDLY);
	if
	:: done ->
		assert(!used[p * NC] && !used[p * NC + 1] && bits[p] == 3);
		page_give(p)
	:: else
	fi
}

#define IS_SPARE(o, p) (p != NONE && OWNER(word[p]) == o && (word[p] & SPARE))

inline chunk_spare_release(o, p)
{
	word_exchange(p, WORD(o) + SPARE, NOBODY, BREAK == SPARE_GIVEN_BLINDLY);
	if
	:: done ->
		assert(!used[p * NC] && !used[p * NC + 1] && bits[p] == 3);
		page_give(p)
	:: else
	fi
}

inline owner_release_spare(o)
{
	sp = kept[o];
	if
	:: IS_SPARE(o, sp) -> chunk_spare_release(o, sp)
	:: else
	fi
}

inline chunk_spare_put(o, p)
{
	if
	:: !IS_SPARE(o, kept[o]) ->
		if
		:: BREAK != SPARE_STATE_LATER -> atomic { RELEASED(p) -> state[p] = KEPT }
		:: else
		fi;
		word_exchange(p, WORD(o), WORD(o) + SPARE, false);
		if
		:: done && BREAK == SPARE_STATE_LATER -> state[p] = KEPT
		:: !done -> state[p] = AVAIL
		:: else
		fi;
		if
		:: done -> kept[o] = p
		:: else
		fi
	:: else
	fi
}

inline page_empty(o, p, spare)
{
	atomic { TOUCH(o); assert(heap[p] == o); heap[p] = NOBODY }
	done = false;
	if
	:: spare && SPARES && o == mine && owner_state[o] == LIVE -> chunk_spare_put(o, p)
	:: else
	fi;
	if
	:: !done -> page_release(o, p)
	:: else
	fi;
	if
	:: !done -> atomic { TOUCH(o); assert(heap[p] == NOBODY); heap[p] = o }
	:: else
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
		:: state[p] == KEPT
		fi
	}
	if
	:: state[p] == KEPT ->
		if
		:: owner_state[o] != LIVE && BREAK != SPARE_FORGOTTEN -> chunk_spare_release(o, p)
		:: else
		fi
	:: state[p] != KEPT && countdown[p] == 0 -> page_empty(o, p, true)
	:: else
	fi
}

inline page_init(p, cl)
{
	if
	:: BREAK == REUSED_AS_IS -> word[p] = WORD(mine)
	:: else
	fi;
	atomic { bits[p] = 3; remote[p] = 0; class[p] = cl; state[p] = AVAIL; countdown[p] = 0 }
	atomic { RELEASED(p) -> word[p] = WORD(mine) }
}

/* The page that the owner keeps, for the class; pg is NONE when there is none. */
inline spare_take(cl)
{
	sp = kept[mine];
	if
	:: IS_SPARE(mine, sp) ->
		if
		:: class[sp] == cl ->
			word_exchange(sp, WORD(mine) + SPARE, WORD(mine), BREAK == SPARE_USED_BLINDLY);
			if
			:: done -> atomic { RELEASED(sp) -> state[sp] = AVAIL }
			:: else
			fi
		:: else ->
			word_exchange(sp, WORD(mine) + SPARE, NOBODY, BREAK == SPARE_USED_BLINDLY);
			if
			:: done -> page_init(sp, cl)
			:: else
			fi
		fi;
		if
		:: done -> kept[mine] = NONE; pg = sp
		:: else
		fi
	:: else
	fi
}

inline chunk_page_new(cl)
{
	pg = NONE;
	spare_take(cl);
	if
	:: pg == NONE ->
		atomic {
			if
			:: run_free[0] -> pg = 0
#if NP > 1
			:: run_free[1] -> pg = 1
#endif
			:: else
			fi;
			if
			:: pg != NONE -> run_free[pg] = false
			:: else
			fi
		}
		if
		:: pg != NONE -> page_init(pg, cl)
		:: else
		fi
	:: else
	fi
}

inline page_make_current(p, cl)
{
	PAGE(mine, cl) = p;
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

inline page_sleep(o, cl)
{
	atomic { TOUCH(o); dp = PAGE(o, cl); PAGE(o, cl) = NONE }
	atomic { RELEASED(dp) -> state[dp] = FULL }
	countdown[dp] = WAKE - COUNT(bits[dp])
}

inline retire(o, cl)
{
	if
	:: PAGE(o, cl) == NONE
	:: PAGE(o, cl) != NONE && COUNT(bits[PAGE(o, cl)]) < WAKE ->
		page_sleep(o, cl)
	:: PAGE(o, cl) != NONE && COUNT(bits[PAGE(o, cl)]) >= WAKE ->
		atomic {
			TOUCH(o);
			dp = PAGE(o, cl);
			PAGE(o, cl) = NONE
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

inline chunk_retire_all(o)
{
	do
	:: k < NCLASS -> retire(o, k); k++
	:: else -> k = 0; break
	od
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
	if
	:: BREAK != SPARES_STAY -> owner_release_spare(o)
	:: else
	fi;
	do
	:: k < NP -> release_one(o, k); k++
	:: else -> k = 0; break
	od
}
