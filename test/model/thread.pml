/*
 * thread.pml: what threads call: frees, also of chunks of others (src/chunk/remote.c), allocation,
 * and giving memory back (chunk.c); see heap.pml.
 */

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

inline inbox_push(o, p, cl)
{
	if
	:: BREAK == PUSHED_SAID_FIRST -> pushed[o] = true
	:: else
	fi;
	head = INBOX(o, cl);
	do
	:: inbox_next[p] = head;
		atomic {
			if
			:: INBOX(o, cl) == head ->
				INBOX(o, cl) = p;
				pushing[o] = (BREAK == PUSHED_SAID_FIRST -> pushing[o] : pushing[o] + 1);
				break
			:: else -> head = INBOX(o, cl)
			fi
		}
	od;
	if
	:: BREAK == PUSHED_SAID_FIRST
	:: BREAK != PUSHED_SAID_FIRST && pushed[o] -> pushing[o]--
	:: BREAK != PUSHED_SAID_FIRST && !pushed[o] ->
		atomic { pushed[o] = true; pushing[o]-- }
	fi
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
				pc = class[p];
				if
				:: BREAK == PUSH_LOOKS_FIRST -> parked = owner_state[o] == PARKED
				:: else
				fi;
				inbox_push(o, pg, pc);
				if
				:: BREAK != PUSH_LOOKS_FIRST -> parked = owner_state[o] == PARKED
				:: else
				fi;
				if
				:: parked -> owner_adopt_page(o, pg, pc)
				:: else
				fi;
				/* Now and then it looks at its own inboxes. */
				if
				:: mine != NOBODY ->
					PUSHED(mine, done);
					if
					:: done -> chunk_drain(mine)
					:: true
					fi
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
inline allocate(cl)
{
	if
	:: mine == NOBODY -> owner_attach()
	:: else
	fi;
	if
	:: INBOX(mine, cl) != NONE -> chunk_drain_class(mine, cl)
	:: else
	fi;
	do
	:: PAGE(mine, cl) != NONE && bits[PAGE(mine, cl)] != 0 ->
		atomic {
			TOUCH(mine);
			p = PAGE(mine, cl);
			assert(OWNER(word[p]) == mine && (word[p] & SPARE) == 0);
			assert(class[p] == cl && state[p] == CURRENT);
			c = p * NC + LOWEST(bits[p]);
			bits[p] = bits[p] & (bits[p] - 1);
			assert(!used[c]);
			used[c] = true;
			holder[c] = self
		}
		break
	:: PAGE(mine, cl) != NONE && bits[PAGE(mine, cl)] == 0 ->
		page_sleep(mine, cl)
	:: PAGE(mine, cl) == NONE ->
		if
		:: NONE_IN_HEAP(mine, cl) ->
			PUSHED(mine, done);
			if
			:: done -> chunk_drain(mine)
			:: else
			fi
		:: else
		fi;
		atomic {
			TOUCH(mine);
			pg = NONE;
			if
			:: IN_HEAP(0, mine, cl) -> pg = 0
#if NP > 1
			:: !IN_HEAP(0, mine, cl) && IN_HEAP(1, mine, cl) -> pg = 1
#endif
			:: else
			fi;
			if
			:: pg != NONE -> heap[pg] = NOBODY
			:: else
			fi
		}
		if
		:: pg == NONE -> owner_adopt(cl)
		:: else
		fi;
		if
		:: pg == NONE -> chunk_page_new(cl)
		:: else
		fi;
		if
		:: pg == NONE -> break
		:: else -> page_make_current(pg, cl)
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
