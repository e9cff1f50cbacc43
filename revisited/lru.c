/*
 * lru.c: a Valgrind tool: the page faults of a program in memories of several sizes that are run
 * by "least recently used", all in one run. It sees every load and store of the program and of
 * the allocator below it. Valgrind's package has what it is built with; revisited.mk says how.
 *
 * usage: valgrind --tool=lru --sizes=PAGES,PAGES,... --own=ADDRESS,NBYTES PROGRAM
 *
 * What the program does between ADDRESS and ADDRESS + NBYTES (its tables and its stack) does not
 * count. It speaks to the tool by storing there: at ADDRESS, to begin and to end; 64 bytes on, to
 * end an interval.
 *
 * The pages stand in one list by their last use (Mattson's stack): a memory of n pages holds the
 * first n. So a page that is used at place d is a fault in all memories of up to d pages.
 *
 *	newest ─ p ─ p ─ o ─ p ─ p ─ p ─ p ─ p ─ o ─ p ─ oldest
 *	segment: 0   0   0   1   1   1   2   2   2   3
 *	                 └ edge[0]   └ edge[1]   └ edge[2]         sizes 3, 6, 9
 *
 * A page that is unmapped, or given back by madvise, leaves a hole (o): a frame that is free in all
 * memories that reach so far. What is used next takes the newest hole, and only what stood before
 * it moves. A page used for the first time, or again after it was given back, is made of zeros and
 * is no fault of a disk: it is counted apart.
 *
 * Invariants: stamps fall from newest to oldest; edge[i] is the node at place sizes[i], from 1, or
 * NULL while the list is shorter; a node's segment is the number of sizes below its place; `holes`
 * is a heap of all holes, the newest on top.
 */
#include "pub_tool_basics.h"
#include "pub_tool_libcassert.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_machine.h"
#include "pub_tool_mallocfree.h"
#include "pub_tool_options.h"
#include "pub_tool_tooliface.h"

#define PAGE_SHIFT 12
#define MAX_SIZES 32
#define MAX_INTERVALS 4096
#define TABLE_BITS 16

/* Numbers of system calls, as on x86-64, and the advice that gives memory back. */
#define CALL_MMAP 9
#define CALL_MUNMAP 11
#define CALL_MREMAP 25
#define CALL_MADVISE 28
#define ADVICE_DONTNEED 4
#define ADVICE_FREE 8

struct node {
	struct node *newer, *older;
	struct node *next;	/* of the table's list */
	Addr page;
	ULong stamp;
	UInt segment;
	UInt epoch;		/* in which it was last used */
	Bool is_hole;
};

static struct node list = { .newer = &list, .older = &list };
static struct node *table[1 << TABLE_BITS];
static struct node *edge[MAX_SIZES];
static struct node **holes;
static SizeT nnodes, nholes, holes_room;
static ULong clock_now;

static ULong sizes[MAX_SIZES];
static UInt nsizes;
static Addr own_address;
static SizeT own_nbytes;
static Bool counting;
static ULong faults[MAX_SIZES], nzero, nuses;
static UInt epoch = 1, touched, nintervals;
static UInt interval_touched[MAX_INTERVALS], interval_resident[MAX_INTERVALS];

/* -- the heap of holes -- */

static void
hole_swap(SizeT i, SizeT j)
{
	struct node *t = holes[i];

	holes[i] = holes[j];
	holes[j] = t;
}

static void
hole_push(struct node *n)
{
	SizeT i = nholes++;

	if (nholes > holes_room) {
		holes_room = holes_room * 2 + 1024;
		holes = VG_(realloc)("lru.holes", holes, holes_room * sizeof(*holes));
	}
	holes[i] = n;
	for (; i > 0 && holes[(i - 1) / 2]->stamp < holes[i]->stamp; i = (i - 1) / 2)
		hole_swap(i, (i - 1) / 2);
}

static struct node *
hole_pop(void)
{
	struct node *top = holes[0];
	SizeT i = 0;

	holes[0] = holes[--nholes];
	for (;;) {
		SizeT child = 2 * i + 1;

		if (child + 1 < nholes && holes[child + 1]->stamp > holes[child]->stamp)
			child++;
		if (child >= nholes || holes[child]->stamp <= holes[i]->stamp)
			return top;
		hole_swap(i, child);
		i = child;
	}
}

/* -- the list -- */

static struct node **
slot_of(Addr page)
{
	struct node **at = &table[(page * 0x9e3779b97f4a7c15ULL) >> (64 - TABLE_BITS)];

	while (*at != NULL && (*at)->page != page)
		at = &(*at)->next;
	return at;
}

static void
unlink_node(struct node *n)
{
	n->newer->older = n->older;
	n->older->newer = n->newer;
}

static void
put_after(struct node *n, struct node *newer)
{
	n->newer = newer;
	n->older = newer->older;
	n->older->newer = n;
	newer->older = n;
}

/*
 * Something new comes to the front, and all nodes down to a place in segment `last` move back by
 * one: the edges before it move forward.
 */
static void
shift_edges(UInt last)
{
	for (UInt i = 0; i < last && i < nsizes && edge[i] != NULL; i++) {
		edge[i]->segment = i + 1;
		edge[i] = edge[i]->newer;
	}
}

/* A node leaves its place, which those before it fill by moving back. */
static void
leave(struct node *n)
{
	if (n->segment < nsizes && edge[n->segment] == n)
		edge[n->segment] = n->newer;
	unlink_node(n);
}

static void
to_front(struct node *n)
{
	put_after(n, &list);
	n->segment = 0;
	n->stamp = ++clock_now;
	/* With a size of one page, or a list that was empty, an edge ran off the front. */
	for (UInt i = 0; i < nsizes; i++)
		if (edge[i] == &list)
			edge[i] = n;
}

/* The hole takes the place of a page further back, which is about to go to the front. */
static void
hole_moves_to(struct node *hole, struct node *n)
{
	leave(hole);
	put_after(hole, n);
	hole->stamp = n->stamp;
	hole->segment = n->segment;
	if (n->segment < nsizes && edge[n->segment] == n)
		edge[n->segment] = hole;
	unlink_node(n);
	hole_push(hole);
}

static void
use_again(struct node *n)
{
	UInt segment = n->segment;

	if (list.older == n)
		return;
	for (UInt i = 0; i < segment; i++)
		faults[i] += counting;
	if (nholes > 0 && holes[0]->stamp > n->stamp) {
		struct node *hole = hole_pop();

		segment = hole->segment;
		hole_moves_to(hole, n);
	} else {
		leave(n);
	}
	shift_edges(segment);
	to_front(n);
}

static struct node *
use_first(Addr page, struct node **slot)
{
	struct node *n = VG_(calloc)("lru.node", 1, sizeof(*n));
	UInt segment = nsizes;

	n->page = page;
	*slot = n;
	nzero += counting;
	if (nholes > 0) {
		struct node *hole = hole_pop();

		segment = hole->segment;
		leave(hole);
		VG_(free)(hole);
		nnodes--;
	}
	shift_edges(segment);
	to_front(n);
	nnodes++;
	for (UInt i = 0; i < nsizes; i++)
		if (edge[i] == NULL && nnodes == sizes[i])
			edge[i] = list.newer;
	return n;
}

/* -- memory that goes -- */

static void
forget(struct node **slot)
{
	struct node *n = *slot;

	*slot = n->next;
	n->is_hole = True;
	hole_push(n);
}

static void
forget_range(Addr from, SizeT nbytes)
{
	Addr first = from >> PAGE_SHIFT, end = (from + nbytes + 4095) >> PAGE_SHIFT;

	if (end - first <= nnodes) {
		for (Addr page = first; page < end; page++) {
			struct node **slot = slot_of(page);

			if (*slot != NULL)
				forget(slot);
		}
		return;
	}
	for (SizeT i = 0; i < (SizeT)1 << TABLE_BITS; i++)
		for (struct node **slot = &table[i]; *slot != NULL;)
			if ((*slot)->page >= first && (*slot)->page < end)
				forget(slot);
			else
				slot = &(*slot)->next;
}

/* The kernel moves the frames: they keep their places under other addresses. */
static void
move_range(Addr from, Addr to, SizeT nbytes)
{
	for (SizeT i = 0; i < nbytes >> PAGE_SHIFT; i++) {
		struct node **slot = slot_of((from >> PAGE_SHIFT) + i), *n = *slot;

		if (n == NULL)
			continue;
		*slot = n->next;
		n->page = (to >> PAGE_SHIFT) + i;
		n->next = NULL;
		*slot_of(n->page) = n;
	}
}

static void
call_begins(ThreadId tid, UInt number, UWord *args, UInt nargs)
{
	(void)tid;
	(void)number;
	(void)args;
	(void)nargs;
}

static void
call_ends(ThreadId tid, UInt number, UWord *args, UInt nargs, SysRes result)
{
	(void)tid;
	(void)nargs;
	if (sr_isError(result))
		return;
	if (number == CALL_MMAP) {
		forget_range(sr_Res(result), args[1]);
	} else if (number == CALL_MUNMAP) {
		forget_range(args[0], args[1]);
	} else if (number == CALL_MADVISE && (args[2] == ADVICE_DONTNEED ||
	    args[2] == ADVICE_FREE)) {
		forget_range(args[0], args[1]);
	} else if (number == CALL_MREMAP) {
		SizeT kept = args[1] < args[2] ? args[1] : args[2];

		forget_range(args[0] + kept, args[1] - kept);
		if (sr_Res(result) != args[0]) {
			forget_range(sr_Res(result), args[2]);
			move_range(args[0], sr_Res(result), kept);
		}
	}
}

/* -- every load and store -- */

static void
interval_end(void)
{
	if (nintervals < MAX_INTERVALS) {
		interval_touched[nintervals] = touched;
		interval_resident[nintervals++] = (UInt)(nnodes - nholes);
	}
	touched = 0;
	epoch++;
}

static void
use_page(Addr page)
{
	struct node **slot = slot_of(page), *n = *slot;

	nuses += counting;
	if (n == NULL)
		n = use_first(page, slot);
	else
		use_again(n);
	if (n->epoch != epoch) {
		n->epoch = epoch;
		touched++;
	}
}

static VG_REGPARM(2) void
on_use(Addr address, SizeT nbytes)
{
	Addr last = (address + nbytes - 1) >> PAGE_SHIFT;

	if (address - own_address < own_nbytes) {
		if (address == own_address) {
			counting = !counting;
			touched = 0;
			epoch++;
		} else if (address == own_address + 64) {
			interval_end();
		}
		return;
	}
	for (Addr page = address >> PAGE_SHIFT; page <= last; page++)
		use_page(page);
}

static void
add_call(IRSB *out, IRExpr *address, Int nbytes, IRExpr *guard)
{
	IRDirty *call = unsafeIRDirty_0_N(2, "on_use", VG_(fnptr_to_fnentry)(on_use),
	    mkIRExprVec_2(address, mkIRExpr_HWord((HWord)nbytes)));

	if (guard != NULL)
		call->guard = guard;
	addStmtToIRSB(out, IRStmt_Dirty(call));
}

/* The memory that one statement uses. */
static void
add_calls(IRSB *out, IRTypeEnv *types, IRStmt *st)
{
	if (st->tag == Ist_WrTmp && st->Ist.WrTmp.data->tag == Iex_Load) {
		IRExpr *load = st->Ist.WrTmp.data;

		add_call(out, load->Iex.Load.addr, sizeofIRType(load->Iex.Load.ty), NULL);
	} else if (st->tag == Ist_Store) {
		add_call(out, st->Ist.Store.addr,
		    sizeofIRType(typeOfIRExpr(types, st->Ist.Store.data)), NULL);
	} else if (st->tag == Ist_StoreG) {
		IRStoreG *store = st->Ist.StoreG.details;

		add_call(out, store->addr, sizeofIRType(typeOfIRExpr(types, store->data)),
		    store->guard);
	} else if (st->tag == Ist_LoadG) {
		IRLoadG *load = st->Ist.LoadG.details;
		IRType wide, narrow;

		typeOfIRLoadGOp(load->cvt, &wide, &narrow);
		add_call(out, load->addr, sizeofIRType(narrow), load->guard);
	} else if (st->tag == Ist_CAS) {
		IRCAS *cas = st->Ist.CAS.details;
		Int n = sizeofIRType(typeOfIRExpr(types, cas->dataLo));

		add_call(out, cas->addr, cas->dataHi != NULL ? 2 * n : n, NULL);
	} else if (st->tag == Ist_Dirty && st->Ist.Dirty.details->mFx != Ifx_None) {
		add_call(out, st->Ist.Dirty.details->mAddr, st->Ist.Dirty.details->mSize, NULL);
	}
}

static IRSB *
instrument(VgCallbackClosure *closure, IRSB *in, const VexGuestLayout *layout,
    const VexGuestExtents *extents, const VexArchInfo *arch, IRType guest_word, IRType host_word)
{
	IRSB *out = deepCopyIRSBExceptStmts(in);

	(void)closure;
	(void)layout;
	(void)extents;
	(void)arch;
	(void)guest_word;
	(void)host_word;
	for (Int i = 0; i < in->stmts_used; i++) {
		add_calls(out, in->tyenv, in->stmts[i]);
		addStmtToIRSB(out, in->stmts[i]);
	}
	return out;
}

/* -- options and results -- */

static Bool
option(const HChar *arg)
{
	const HChar *text;
	HChar *end;

	if (VG_STR_CLO(arg, "--sizes", text)) {
		for (; *text != '\0' && nsizes < MAX_SIZES; text = *end == ',' ? end + 1 : end)
			sizes[nsizes++] = (ULong)VG_(strtoll10)(text, &end);
		return True;
	}
	if (VG_STR_CLO(arg, "--own", text)) {
		own_address = (Addr)VG_(strtoull16)(text, &end);
		own_nbytes = (SizeT)VG_(strtoull16)(end + 1, &end);
		return True;
	}
	return False;
}

static void
usage(void)
{
	VG_(printf)("    --sizes=N,N,...   pages of the memories, in rising order\n"
	    "    --own=ADDRESS,NBYTES   hexadecimal: what does not count\n");
}

static void
debug_usage(void)
{
}

static void
started(void)
{
	for (UInt i = 1; i < nsizes; i++)
		tl_assert(sizes[i - 1] < sizes[i]);
}

static void
finish(Int status)
{
	(void)status;
	VG_(printf)("uses=%llu\nzero=%llu\n", nuses, nzero);
	for (UInt i = 0; i < nsizes; i++)
		VG_(printf)("faults=%llu %llu\n", sizes[i], faults[i]);
	for (UInt i = 0; i < nintervals; i++)
		VG_(printf)("interval=%u %u\n", interval_touched[i], interval_resident[i]);
}

static void
before_options(void)
{
	VG_(details_name)("lru");
	VG_(details_version)(NULL);
	VG_(details_description)("page faults of memories run by least recently used");
	VG_(details_copyright_author)("phkmalloc");
	VG_(details_bug_reports_to)("phkmalloc");
	VG_(basic_tool_funcs)(started, instrument, finish);
	VG_(needs_command_line_options)(option, usage, debug_usage);
	VG_(needs_syscall_wrapper)(call_begins, call_ends);
	VG_(track_die_mem_brk)(forget_range);
}

VG_DETERMINE_INTERFACE_VERSION(before_options)
