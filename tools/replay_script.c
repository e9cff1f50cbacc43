/*
 * replay_script.c: objects become slots, threads get their words; see replay_script.h.
 *
 * With several threads a slot is used again only in a later window than it was given up in: within
 * a window threads run as they like, and the slot's former object may still be in it. For the same
 * reason what is resized goes on in another slot, and a thread waits for an object that another one
 * has allocated in the same window.
 */
#include "replay_script.h"

#include "command.h"

#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Operations in a window with one thread, which has nobody to wait for. */
#define WINDOW_ALONE 250U
#define WINDOWS_MAX ((uint64_t)1 << 28)

struct words {
	uint32_t *w;
	size_t count, room;
	uint32_t first, window; /* that it starts in, and that its words have come to */
};

struct slot_use {
	uint32_t thread, window; /* of the last allocation in it */
};

struct maker {
	const char *path;
	struct script *s;
	bool alone;              /* there was one thread so far */
	struct words *threads;
	size_t thread_room;
	uint32_t *numbers;       /* of the trace's threads in the script; UINT32_MAX: none yet */
	size_t number_count;
	bool *streams;           /* of the trace, that had a thread */
	size_t stream_count;
	struct slot_use *slots;
	uint64_t slot_count, slot_room;
	uint32_t *unused;        /* slots; those from fresh on were given up in this window */
	size_t unused_count, unused_room, fresh;
	uint32_t *window_threads;
	uint64_t *window_live;
	size_t window_count, window_room;
	uint64_t live;
	uint64_t in_window;      /* operations */
};

/* --- growing --------------------------------------------------------------------------------- */

static void
word(struct words *t, uint32_t w)
{
	if (t->count == t->room) {
		t->room = t->room == 0 ? 64 : 2 * t->room;
		t->w = xgrow(t->w, t->room, sizeof(*t->w));
	}
	t->w[t->count++] = w;
}

static void
word_size(struct words *t, uint64_t n)
{
	if (n < REPLAY_LONG) {
		word(t, (uint32_t)n);
		return;
	}
	word(t, REPLAY_LONG);
	word(t, (uint32_t)n);
	word(t, (uint32_t)(n >> 32));
}

static void
slot_give(struct maker *m, uint32_t slot)
{
	if (m->unused_count == m->unused_room) {
		m->unused_room = 2 * m->unused_room + 64;
		m->unused = xgrow(m->unused, m->unused_room, sizeof(*m->unused));
	}
	m->unused[m->unused_count++] = slot;
	if (m->alone)
		m->fresh = m->unused_count;
}

static uint32_t
slot_take(struct maker *m)
{
	if (m->fresh > 0) {
		uint32_t slot = m->unused[--m->fresh];

		m->unused[m->fresh] = m->unused[--m->unused_count];
		return slot;
	}
	if (m->slot_count == m->slot_room) {
		m->slot_room = 2 * m->slot_room + 1024;
		m->slots = xgrow(m->slots, m->slot_room, sizeof(*m->slots));
	}
	if (m->slot_count == REPLAY_SLOTS_MAX)
		fail(STATUS_OTHER, "%s: more objects at a time than can be replayed", m->path);
	return (uint32_t)m->slot_count++;
}

static void
window_begin(struct maker *m)
{
	if (m->window_count == m->window_room) {
		m->window_room = 2 * m->window_room + 64;
		m->window_threads = xgrow(m->window_threads, m->window_room,
		    sizeof(*m->window_threads));
		m->window_live = xgrow(m->window_live, m->window_room, sizeof(*m->window_live));
	}
	if (m->window_count == WINDOWS_MAX)
		fail(STATUS_OTHER, "%s: more operations than can be replayed", m->path);
	m->window_threads[m->window_count++] = 0;
	m->fresh = m->unused_count;
}

/* The words of a thread of the trace, which have come to the current window. */
static struct words *
words_of(struct maker *m, uint32_t thread)
{
	uint32_t window = (uint32_t)m->window_count - 1;
	struct words *t;

	while (thread >= m->number_count) {
		size_t n = 2 * m->number_count + 16;

		m->numbers = xgrow(m->numbers, n, sizeof(*m->numbers));
		for (; m->number_count < n; m->number_count++)
			m->numbers[m->number_count] = UINT32_MAX;
	}
	if (m->numbers[thread] == UINT32_MAX) {
		if (m->s->threads == m->thread_room) {
			m->thread_room = 2 * m->thread_room + 16;
			m->threads = xgrow(m->threads, m->thread_room, sizeof(*m->threads));
		}
		m->numbers[thread] = m->s->threads;
		t = &m->threads[m->s->threads++];
		*t = (struct words){ .first = window, .window = window };
		m->window_threads[window]++;
		return t;
	}
	t = &m->threads[m->numbers[thread]];
	if (t->window != window) {
		word(t, REPLAY_WINDOW | window << 4);
		t->window = window;
		m->window_threads[window]++;
	}
	return t;
}

/* Whether a stream had a thread before, which is gone when it has another. */
static bool
stream_taken(struct maker *m, uint32_t stream)
{
	bool before;

	if (stream >= m->stream_count) {
		size_t n = (size_t)stream * 2 + 16;

		m->streams = xgrow(m->streams, n, sizeof(*m->streams));
		memset(m->streams + m->stream_count, 0, n - m->stream_count);
		m->stream_count = n;
	}
	before = m->streams[stream];
	m->streams[stream] = true;
	return before;
}

/* A window for the next operation: the one that goes on, or another. */
static void
window_enter(struct maker *m, uint32_t thread, uint32_t stream)
{
	bool begins = thread >= m->number_count || m->numbers[thread] == UINT32_MAX;
	/* A thread that follows another is not to run beside it. */
	bool another = begins && stream_taken(m, stream);

	/* With the second thread the rules change, so that has to wait for all before. */
	if (begins && m->s->threads == 1) {
		m->alone = false;
		another = true;
	}
	if (another || m->in_window == 0 ||
	    m->in_window == (m->alone ? WINDOW_ALONE : WINDOW_OPERATIONS)) {
		window_begin(m);
		m->in_window = 0;
	}
	m->in_window++;
}

/* --- operations ------------------------------------------------------------------------------ */

/* Gives an object a slot; tags are one more than the slot. */
static uint32_t
enter(struct maker *m, struct trace_object *object, uint32_t thread)
{
	uint32_t slot = slot_take(m);

	m->slots[slot] = (struct slot_use){ thread, (uint32_t)m->window_count - 1 };
	object->tag = (uint64_t)slot + 1;
	return slot;
}

/* The slot of an object that another thread may be about to allocate. */
static uint32_t
reach(struct maker *m, struct words *t, const struct trace_object *object, uint32_t thread)
{
	uint32_t slot = (uint32_t)(object->tag - 1);

	if (m->slots[slot].thread != thread && m->slots[slot].window == m->window_count - 1)
		word(t, REPLAY_WAIT | slot << 4);
	return slot;
}

static void
add_step(struct maker *m, const struct trace_step *step)
{
	struct words *t = words_of(m, step->thread);
	struct trace_object *object = step->object;
	uint32_t slot, to;

	switch (step->kind) {
	case STEP_ALLOC:
		slot = enter(m, object, step->thread);
		word(t, (object->op == TRACE_CALLOC ? REPLAY_CALLOC :
		    object->op == TRACE_ALIGNED ? REPLAY_ALIGNED : REPLAY_MALLOC) | slot << 4);
		word_size(t, object->size);
		if (object->op == TRACE_ALIGNED)
			word(t, object->log2_alignment);
		m->live += object->size;
		break;
	case STEP_FREE:
		slot = reach(m, t, object, step->thread);
		word(t, REPLAY_FREE | slot << 4);
		slot_give(m, slot);
		m->live -= object->size;
		break;
	case STEP_RESIZE:
		slot = reach(m, t, object, step->thread);
		if (m->alone)
			slot_give(m, slot);
		to = enter(m, object, step->thread);
		word(t, REPLAY_RESIZE | slot << 4);
		word(t, to);
		word_size(t, object->size);
		if (!m->alone)
			slot_give(m, slot);
		m->live += object->size - step->old_size;
		break;
	case STEP_FAILED:
	case STEP_OTHER:
		break;
	}
	if (m->live > m->s->live_peak)
		m->s->live_peak = m->live;
	m->window_live[m->window_count - 1] = m->live;
}

/* --- the script ------------------------------------------------------------------------------ */

static void
write_all(const struct maker *m, const void *data, size_t nbytes)
{
	const char *at = data;

	while (nbytes > 0) {
		ssize_t n = write(m->s->fd, at, nbytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			fail(STATUS_OTHER, "%s: no memory for the replay: %s", m->path, strerror(errno));
		at += n;
		nbytes -= (size_t)n;
	}
}

/* Threads that live at the same time, but for the first; one more may be ending. */
static uint32_t
count_stacks(const struct maker *m)
{
	int64_t *change, live = 0, most = 0;

	if (m->s->threads <= 1)
		return 0;
	change = xcalloc(m->window_count + 1, sizeof(*change));
	for (uint32_t i = 1; i < m->s->threads; i++) {
		change[m->threads[i].first]++;
		change[m->threads[i].window + 1]--;
	}
	for (size_t i = 0; i < m->window_count; i++) {
		live += change[i];
		most = live > most ? live : most;
	}
	free(change);
	return (uint32_t)most + 1;
}

static void
write_script(struct maker *m, uint32_t interval)
{
	struct script *s = m->s;
	struct replay_head head = { .magic = REPLAY_MAGIC, .slots = m->slot_count,
		.threads = s->threads, .windows = (uint32_t)m->window_count,
		.interval = interval, .intervals = s->intervals, .stacks = count_stacks(m) };
	uint64_t at = sizeof(head) + s->threads * sizeof(struct replay_thread) +
	    m->window_count * sizeof(uint32_t);

	for (uint32_t i = 0; i < s->threads; i++)
		word(&m->threads[i], REPLAY_END);
	head.nbytes = at;
	for (uint32_t i = 0; i < s->threads; i++)
		head.nbytes += m->threads[i].count * sizeof(uint32_t);
	s->nbytes = head.nbytes;
	s->fd = memfd_create("replay", MFD_CLOEXEC);
	if (s->fd < 0)
		fail(STATUS_OTHER, "%s: %s", m->path, strerror(errno));
	write_all(m, &head, sizeof(head));
	for (uint32_t i = 0; i < s->threads; i++) {
		struct replay_thread t = { at, m->threads[i].first, 0 };

		write_all(m, &t, sizeof(t));
		at += m->threads[i].count * sizeof(uint32_t);
	}
	write_all(m, m->window_threads, m->window_count * sizeof(uint32_t));
	for (uint32_t i = 0; i < s->threads; i++) {
		write_all(m, m->threads[i].w, m->threads[i].count * sizeof(uint32_t));
		free(m->threads[i].w);
	}
}

static void
make_intervals(struct maker *m, uint32_t wanted)
{
	struct script *s = m->s;
	uint32_t n = (uint32_t)m->window_count;
	uint32_t interval = wanted == 0 ? 0 : (n + wanted - 1) / wanted;

	s->intervals = interval == 0 ? 0 : n / interval;
	s->interval_live = xcalloc(s->intervals, sizeof(*s->interval_live));
	for (uint32_t i = 0; i < s->intervals; i++)
		s->interval_live[i] = m->window_live[(i + 1) * interval - 1];
	write_script(m, interval);
}

void
script_make(struct script *s, const char *path, const struct trace_file *f, uint32_t process,
    uint32_t intervals)
{
	struct maker m = { .path = path, .s = s, .alone = true };
	struct trace_order o;
	struct trace_step step;

	memset(s, 0, sizeof(*s));
	if (!trace_order_start(&o, f, process))
		fail(STATUS_OTHER, "%s: process %u cannot be read: out of memory", path, process);
	while (trace_order_next(&o, &step)) {
		if (step.kind == STEP_FAILED)
			s->failed++;
		if (step.kind > STEP_RESIZE || step.object == NULL)
			continue;
		window_enter(&m, step.thread, o.threads[step.thread].stream);
		add_step(&m, &step);
		if ((++s->operations & 0xffff) == 0)
			progress("reading the trace", o.blocks_read, o.block_count);
	}
	progress_end();
	if (o.no_memory)
		fail(STATUS_OTHER, "%s: out of memory", path);
	/* What has operations has threads. */
	if (s->operations == 0 || m.threads == NULL)
		fail(STATUS_FILE, "%s: process %u has no operations", path, process);
	s->unknown = o.unknown;
	s->pid = o.pid;
	memcpy(s->command, o.command, sizeof(s->command));
	make_intervals(&m, intervals);
	trace_order_finish(&o);
	free(m.threads);
	free(m.numbers);
	free(m.streams);
	free(m.slots);
	free(m.unused);
	free(m.window_threads);
	free(m.window_live);
}

void
script_free(struct script *s)
{
	close(s->fd);
	free(s->interval_live);
}
