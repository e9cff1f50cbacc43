/*
 * note.h: what options know of each chunk: a word, and with option T two stacks.
 *
 *   31        21 20       18 17   16 15                0
 *   |  turn     |  family   | state | bytes asked for    |
 *
 * The stacks of a page lie behind its bitmaps, the words behind the stacks. A word is written by
 * whoever holds the chunk; a free by a thread that does not own the page takes it by
 * compare-and-swap, which decides between two that free at once. While the contents of the chunk
 * change, the state is NOTE_BUSY. turn counts the changes: who reads a word before and after he
 * looks at the chunk, and finds the same, knows that nothing happened in between.
 */
#ifndef PHK_NOTE_H
#define PHK_NOTE_H

#include "chunk/chunk.h"
#include "heap/family.h"

enum note_state {
	NOTE_BUSY,  /* never used, or being filled */
	NOTE_USED,  /* with its canary, if the options say so */
	NOTE_HELD,  /* freed, filled with junk and held back */
	NOTE_FREED, /* freed, and filled with junk if the options say so */
};

struct note_stacks {
	uint32_t allocated;
	uint32_t freed;
};

#define NOTE_NBYTES sizeof(uint32_t)
#define NOTE_ASKED_MAX 0xffffU
#define NOTE_STATE_SHIFT 16
#define NOTE_FAMILY_SHIFT 18
#define NOTE_TURN 0x200000U

_Static_assert(malloc_maxsize <= NOTE_ASKED_MAX, "what was asked for has room in a note");

/* Bytes from the bitmaps of a page of each class to its words; set at start. */
extern uint32_t note_offsets[CLASS_COUNT];

ALWAYS_INLINE uint32_t *
note_of(const struct pginfo *pg, size_t i)
{
	return (uint32_t *)((char *)pg->bits + note_offsets[pg->chunk.class_no]) + i;
}

/* Only with option T. */
ALWAYS_INLINE struct note_stacks *
note_stacks(const struct pginfo *pg, size_t i)
{
	return (struct note_stacks *)chunk_notes(pg) + i;
}

ALWAYS_INLINE enum note_state
note_state(uint32_t word)
{
	return (enum note_state)(word >> NOTE_STATE_SHIFT & 3);
}

ALWAYS_INLINE size_t
note_asked(uint32_t word)
{
	return word & NOTE_ASKED_MAX;
}

ALWAYS_INLINE enum family
note_family(uint32_t word)
{
	return (enum family)(word >> NOTE_FAMILY_SHIFT & 7);
}

ALWAYS_INLINE uint32_t
note_with_family(uint32_t word, enum family family)
{
	return (word & ~((uint32_t)7 << NOTE_FAMILY_SHIFT)) | (uint32_t)family << NOTE_FAMILY_SHIFT;
}

/* The word that follows another of the same family. */
ALWAYS_INLINE uint32_t
note_next(uint32_t word, enum note_state state, size_t asked)
{
	uint32_t kept = word & ~(((uint32_t)1 << NOTE_FAMILY_SHIFT) - 1);

	return (kept + NOTE_TURN) | (uint32_t)state << NOTE_STATE_SHIFT | (uint32_t)asked;
}

/* Before the contents of a chunk that the caller holds are changed; returns the word now there. */
ALWAYS_INLINE uint32_t
note_begin(uint32_t *note, uint32_t word)
{
	word = note_next(word, NOTE_BUSY, note_asked(word));
	store_relaxed(note, word);
	/* Pairs with the fence of the checker, which looks at the contents and then again here. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return word;
}

/* And after. */
ALWAYS_INLINE void
note_end(uint32_t *note, uint32_t word, enum note_state state, size_t asked)
{
	store_release(note, note_next(word, state, asked));
}

#endif
