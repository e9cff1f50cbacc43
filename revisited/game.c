/*
 * game: a server of a multi-player game, simulated. Players come and go and own a record, items
 * and two buffers, which grow by realloc as they fill and shrink when they idle; messages are made
 * every tick and live for a few; maps are loaded while somebody is on them. Two evenings with a
 * night between: the number of players rises to PLAYERS, falls to a tenth, and rises again.
 *
 * Prints, for each of SAMPLES points in time, the tick, the players, the bytes asked for that are
 * live, anonymous memory since the start, writable address space; at the end the processor's
 * seconds and the faults. Between ticks it sleeps for PACE microseconds: allocators that give
 * memory back after a while of the clock must see the clock move.
 *
 * usage: game PLAYERS TICKS SAMPLES PACE
 */
#include "common.h"

#define MAX_ITEMS 48
#define MAX_MAPS 24
#define LIFETIME 24		/* of a message, in ticks, at most */
#define MESSAGES 16384		/* of one tick, at most */

struct buffer {
	char *p;
	size_t nbytes;
};

struct player {
	void *record;
	size_t record_nbytes;
	struct buffer item[MAX_ITEMS];
	size_t nitems;
	struct buffer in, out;
};

struct message {
	void *p;
	size_t nbytes;
};

static struct player *players;
static size_t nplayers, live;
static struct message (*due)[MESSAGES];	/* by the tick in which they end */
static size_t ndue[LIFETIME];
static struct buffer map[MAX_MAPS];
static uint64_t rng = 1994;

static void *
take(size_t nbytes)
{
	live += nbytes;
	return object_new(nbytes);
}

static void
drop(void *p, size_t nbytes)
{
	live -= nbytes;
	free(p);
}

static void
resize(struct buffer *b, size_t nbytes)
{
	char *p = realloc(b->p, nbytes);

	if (p == NULL)
		die("realloc: no memory");
	if (nbytes > b->nbytes)
		memset(p + b->nbytes, 0x3c, nbytes - b->nbytes);
	live += nbytes - b->nbytes;
	b->p = p;
	b->nbytes = nbytes;
}

static void
player_join(void)
{
	struct player *p = &players[nplayers++];

	memset(p, 0, sizeof(*p));
	p->record_nbytes = rng_between(&rng, 1200, 3600);
	p->record = take(p->record_nbytes);
	p->nitems = rng_between(&rng, 8, MAX_ITEMS);
	for (size_t i = 0; i < p->nitems; i++) {
		p->item[i].nbytes = rng_between(&rng, 24, 160);
		p->item[i].p = take(p->item[i].nbytes);
	}
	resize(&p->in, 512);
	resize(&p->out, 1024);
}

static void
player_leave(size_t which)
{
	struct player *p = &players[which];

	for (size_t i = 0; i < p->nitems; i++)
		drop(p->item[i].p, p->item[i].nbytes);
	drop(p->record, p->record_nbytes);
	drop(p->in.p, p->in.nbytes);
	drop(p->out.p, p->out.nbytes);
	*p = players[--nplayers];
}

/* A busy player's buffers double to 32 KiB; an idle one's go back to what they began with. */
static void
player_acts(struct player *p)
{
	uint64_t what = rng_next(&rng) >> 32;
	struct buffer *b = what & 1 ? &p->in : &p->out;
	struct buffer *item = &p->item[what % p->nitems];

	if (what % 16 < 9 && b->nbytes < 32768)
		resize(b, b->nbytes * 2);
	else if (what % 16 == 15)
		resize(b, 512);
	drop(item->p, item->nbytes);
	item->nbytes = rng_between(&rng, 24, 160);
	item->p = take(item->nbytes);
}

static void
message_send(size_t tick)
{
	size_t end = (tick + rng_between(&rng, 1, LIFETIME - 1)) % LIFETIME;
	struct message *m;

	if (ndue[end] == MESSAGES)
		return;
	m = &due[end][ndue[end]++];
	/* Most are a few words, some are a chat or the state of a room. */
	m->nbytes = rng_next(&rng) >> 61 ? rng_between(&rng, 32, 256)
	    : rng_between(&rng, 300, 4000);
	m->p = take(m->nbytes);
}

static void
messages_end(size_t tick)
{
	size_t slot = tick % LIFETIME;

	while (ndue[slot] > 0) {
		struct message *m = &due[slot][--ndue[slot]];

		drop(m->p, m->nbytes);
	}
}

static void
maps_change(size_t wanted)
{
	struct buffer *b = &map[rng_between(&rng, 0, MAX_MAPS - 1)];
	size_t loaded = 0;

	for (size_t i = 0; i < MAX_MAPS; i++)
		loaded += map[i].p != NULL;
	if (b->p != NULL) {
		drop(b->p, b->nbytes);
		b->p = NULL;
		loaded--;
	}
	if (loaded < wanted) {
		b->nbytes = rng_between(&rng, 100000, 1500000);
		b->p = take(b->nbytes);
	}
}

/* Up, down to a tenth, up: straight lines over the first, second and last third. */
static size_t
players_wanted(size_t most, size_t tick, size_t ticks)
{
	size_t third = ticks / 3, few = most / 10;

	if (tick < third)
		return 1 + most * tick / third;
	if (tick < 2 * third)
		return most - (most - few) * (tick - third) / third;
	return few + (most - few) * (tick - 2 * third) / third;
}

static void
tick_run(size_t tick, size_t wanted)
{
	messages_end(tick);
	while (nplayers > wanted)
		player_leave(rng_between(&rng, 0, nplayers - 1));
	if (nplayers > 16 && tick % 2 == 0)	/* some leave at any time */
		player_leave(rng_between(&rng, 0, nplayers - 1));
	while (nplayers < wanted)
		player_join();
	for (size_t i = 0; i < nplayers / 16 + 1; i++)
		player_acts(&players[rng_between(&rng, 0, nplayers - 1)]);
	for (size_t i = 0; i < nplayers / 8 + 1; i++)
		message_send(tick);
	if (tick % 8 == 0)
		maps_change(nplayers * MAX_MAPS / (nplayers + 400) + 1);
}

int
main(int argc, char **argv)
{
	size_t most = argument(argc, argv, 1), ticks = argument(argc, argv, 2);
	size_t samples = argument(argc, argv, 3);
	struct timespec pace = { 0, (long)argument(argc, argv, 4) * 1000 };
	struct rusage r;

	tell_library();
	players = locked_new((most + 2) * sizeof(*players));
	due = locked_new(LIFETIME * sizeof(*due));

	size_t memory0 = anonymous_nbytes();
	size_t own = (most + 2) * sizeof(*players) + LIFETIME * sizeof(*due);

	for (size_t tick = 0; tick < ticks; tick++) {
		tick_run(tick, players_wanted(most, tick, ticks));
		nanosleep(&pace, NULL);
		if ((tick + 1) % (ticks / samples) == 0)
			say(1, "sample=%zu %zu %zu %zu %zu\n", tick + 1, nplayers, live,
			    anonymous_nbytes() - memory0, writable_nbytes() - own);
	}
	getrusage(RUSAGE_SELF, &r);
	say(1, "seconds=%.4f\nminor=%ld\n", (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	    1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec), r.ru_minflt);
	return 0;
}
