/*
 * cfi.c: reads .eh_frame; see cfi.h. State: rules by address, in words that are read and written
 * without a lock: an entry is believed when its two words belong together.
 */
#include "os/cfi.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#define CACHE_COUNT 4096U
#define SAVED_MAX 4U     /* remembered states; compilers nest none */
#define FP_SHIFT 4
#define CFA_SHIFT 32

/* DWARF's numbers of the registers and of the operations met here. */
enum { REG_FP = 6, REG_SP = 7, REG_RA = 16 };
enum {
	CFA_NOP = 0x00, CFA_SET_LOC, CFA_ADVANCE1, CFA_ADVANCE2, CFA_ADVANCE4, CFA_OFFSET_EXT,
	CFA_RESTORE_EXT, CFA_UNDEFINED, CFA_SAME, CFA_REGISTER, CFA_REMEMBER, CFA_RESTORE_STATE,
	CFA_DEF, CFA_DEF_REG, CFA_DEF_OFFSET, CFA_DEF_EXPR, CFA_EXPR, CFA_OFFSET_EXT_SF, CFA_DEF_SF,
	CFA_DEF_OFFSET_SF, CFA_VAL_OFFSET, CFA_VAL_OFFSET_SF, CFA_VAL_EXPR,
	CFA_ARGS_SIZE = 0x2e,
};
enum { OP_DEREF = 0x06, OP_BREG_FP = 0x70 + REG_FP };
/* Pointers relative to themselves, or to the header, in 4 bytes with a sign. */
enum { ENC_PCREL_S4 = 0x1b, ENC_DATAREL_S4 = 0x3b, ENC_U4 = 0x03 };

static struct {
	uint64_t key;  /* address xor rule */
	uint64_t rule; /* packed */
} cache[CACHE_COUNT];

/* A part of a table; at passes end when it was not well formed. */
struct text {
	const uint8_t *at;
	const uint8_t *end;
};

enum where { SAME, AT_CFA, AT_FP, LOST };
struct state {
	enum cfi_kind kind;
	uint64_t cfa_reg;
	int64_t cfa;
	enum where fp_where, ra_where;
	int64_t fp;
	int64_t ra;
};

struct entry {
	struct text common;    /* instructions of the CIE */
	struct text own;       /* and of the FDE */
	uintptr_t start;
	uint64_t code_align;
	int64_t data_align;
	bool signal;
};

/* --- reading ------------------------------------------------------------------------------- */

static uint64_t
take(struct text *t, size_t nbytes)
{
	uint64_t v = 0;

	if ((size_t)(t->end - t->at) < nbytes)
		t->at = t->end;
	else if (t->at != NULL)
		memcpy(&v, t->at, nbytes);
	t->at += t->at == t->end ? 0 : nbytes;
	return v;
}

static uint64_t
take_uleb(struct text *t)
{
	uint64_t v = 0;
	uint8_t byte = 0x80;

	for (unsigned shift = 0; shift < 64 && (byte & 0x80) != 0; shift += 7) {
		byte = (uint8_t)take(t, 1);
		v |= (uint64_t)(byte & 0x7f) << shift;
	}
	return v;
}

static int64_t
take_sleb(struct text *t)
{
	uint64_t v = 0;
	uint8_t byte = 0x80;
	unsigned shift = 0;

	for (; shift < 64 && (byte & 0x80) != 0; shift += 7) {
		byte = (uint8_t)take(t, 1);
		v |= (uint64_t)(byte & 0x7f) << shift;
	}
	if (shift < 64 && (byte & 0x40) != 0)
		v |= ~(uint64_t)0 << shift;
	return (int64_t)v;
}

/* --- instructions -------------------------------------------------------------------------- */

static void
set_where(struct state *s, uint64_t reg, enum where where, int64_t offset)
{
	if (reg == REG_FP) {
		s->fp_where = where;
		s->fp = offset;
	} else if (reg == REG_RA) {
		s->ra_where = where;
		s->ra = offset;
	}
}

static void
set_cfa(struct state *s, uint64_t reg, int64_t offset)
{
	s->kind = reg == REG_SP ? CFI_SP : reg == REG_FP ? CFI_FP : CFI_STOP;
	s->cfa_reg = reg;
	s->cfa = offset;
}

/* What stacks that were aligned anew have: an address at, or stored at, frame pointer + n. */
static bool
take_expression(struct text *t, bool deref, int64_t *offset)
{
	uint64_t nbytes = take_uleb(t);
	struct text e = { t->at, t->at + nbytes };

	if (nbytes > (size_t)(t->end - t->at)) {
		t->at = t->end;
		return false;
	}
	t->at += nbytes;
	if (take(&e, 1) != OP_BREG_FP)
		return false;
	*offset = take_sleb(&e);
	return (!deref || take(&e, 1) == OP_DEREF) && e.at == e.end;
}

static void
run_cfa(struct state *s, struct text *t, unsigned op, int64_t align)
{
	uint64_t reg;

	switch (op) {
	case CFA_DEF:
		reg = take_uleb(t);
		set_cfa(s, reg, (int64_t)take_uleb(t));
		break;
	case CFA_DEF_SF:
		reg = take_uleb(t);
		set_cfa(s, reg, take_sleb(t) * align);
		break;
	case CFA_DEF_REG:
		set_cfa(s, take_uleb(t), s->cfa);
		break;
	case CFA_DEF_OFFSET:
		set_cfa(s, s->cfa_reg, (int64_t)take_uleb(t));
		break;
	case CFA_DEF_OFFSET_SF:
		set_cfa(s, s->cfa_reg, take_sleb(t) * align);
		break;
	default:
		s->cfa_reg = 0;
		s->kind = take_expression(t, true, &s->cfa) ? CFI_FP_DEREF : CFI_STOP;
		break;
	}
}

static void
run_register(struct state *s, const struct state *initial, struct text *t, unsigned op,
    int64_t align)
{
	uint64_t reg = take_uleb(t);
	int64_t at = 0;

	switch (op) {
	case CFA_OFFSET_EXT:
		set_where(s, reg, AT_CFA, (int64_t)take_uleb(t) * align);
		break;
	case CFA_OFFSET_EXT_SF:
		set_where(s, reg, AT_CFA, take_sleb(t) * align);
		break;
	case CFA_RESTORE_EXT:
		set_where(s, reg, reg == REG_FP ? initial->fp_where : initial->ra_where,
		    reg == REG_FP ? initial->fp : initial->ra);
		break;
	case CFA_SAME:
		set_where(s, reg, SAME, 0);
		break;
	case CFA_UNDEFINED:
		set_where(s, reg, LOST, 0);
		break;
	case CFA_EXPR:
		set_where(s, reg, take_expression(t, false, &at) ? AT_FP : LOST, at);
		break;
	case CFA_VAL_EXPR:
		(void)take_expression(t, false, &at);
		set_where(s, reg, LOST, 0);
		break;
	default: /* CFA_REGISTER, CFA_VAL_OFFSET */
		(void)take_uleb(t);
		set_where(s, reg, LOST, 0);
		break;
	}
}

/* Runs instructions up to pc. False when one is not known. Not used where there are no tables. */
__attribute__((unused)) static bool
run(struct state *s, const struct state *initial, struct text t, const struct entry *e,
    uintptr_t pc)
{
	struct state saved[SAVED_MAX];
	unsigned nsaved = 0;
	uintptr_t at = e->start;

	while (t.at < t.end) {
		unsigned op = (unsigned)take(&t, 1), low = op & 0x3f;
		uint64_t step = 0;

		if (op >> 6 == 1) {
			step = low;
		} else if (op >> 6 == 2) {
			set_where(s, low, AT_CFA, (int64_t)take_uleb(&t) * e->data_align);
		} else if (op >> 6 == 3) {
			set_where(s, low, low == REG_FP ? initial->fp_where : initial->ra_where,
			    low == REG_FP ? initial->fp : initial->ra);
		} else if (op >= CFA_ADVANCE1 && op <= CFA_ADVANCE4) {
			step = take(&t, (size_t)1 << (op - CFA_ADVANCE1));
		} else if (op == CFA_REMEMBER && nsaved < SAVED_MAX) {
			saved[nsaved++] = *s;
		} else if (op == CFA_RESTORE_STATE && nsaved > 0) {
			*s = saved[--nsaved];
		} else if ((op >= CFA_DEF && op <= CFA_DEF_EXPR) || op == CFA_DEF_SF ||
		    op == CFA_DEF_OFFSET_SF) {
			run_cfa(s, &t, op, e->data_align);
		} else if ((op >= CFA_OFFSET_EXT && op <= CFA_REGISTER) || op == CFA_EXPR ||
		    op == CFA_OFFSET_EXT_SF || (op >= CFA_VAL_OFFSET && op <= CFA_VAL_EXPR)) {
			run_register(s, initial, &t, op, e->data_align);
		} else if (op == CFA_ARGS_SIZE) {
			(void)take_uleb(&t);
		} else if (op != CFA_NOP) {
			return false;
		}
		at += step * e->code_align;
		if (at > pc)
			break;
	}
	return true;
}

/* --- finding ------------------------------------------------------------------------------- */

#ifdef DLFO_STRUCT_HAS_EH_DBASE
extern __attribute__((weak)) int _dl_find_object(void *, struct dl_find_object *);

static bool
find_object(uintptr_t pc, struct dl_find_object *o)
{
	return _dl_find_object != NULL && _dl_find_object((void *)pc, o) == 0;
}

static struct text
object_text(const struct dl_find_object *o, const void *from)
{
	struct text t = { from, o->dlfo_map_end };

	if ((uintptr_t)from < (uintptr_t)o->dlfo_map_start || t.at > t.end)
		t.at = t.end;
	return t;
}

/* A signed difference of 4 bytes; base is what it is relative to. */
static uintptr_t
take_s4(struct text *t, uintptr_t base)
{
	return base + (uintptr_t)(int64_t)(int32_t)take(t, 4);
}

/* The FDE of the last function that starts at or before pc, by the header's sorted table. */
static const uint8_t *
find_fde(const struct dl_find_object *o, uintptr_t pc)
{
	uintptr_t header = (uintptr_t)o->dlfo_eh_frame;
	struct text t = object_text(o, o->dlfo_eh_frame), at;
	uint64_t kinds = take(&t, 4); /* version, and how three things are encoded */
	size_t low = 0, high;

	if (kinds != (1 | ENC_PCREL_S4 << 8 | ENC_U4 << 16 | (uint64_t)ENC_DATAREL_S4 << 24))
		return NULL;
	(void)take(&t, 4);
	high = take(&t, 4);
	if (high == 0 || high > (size_t)(t.end - t.at) / 8)
		return NULL;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		at = (struct text){ t.at + middle * 8, t.end };
		if (take_s4(&at, header) <= pc)
			low = middle;
		else
			high = middle;
	}
	at = (struct text){ t.at + low * 8, t.end };
	return take_s4(&at, header) <= pc ? (const uint8_t *)take_s4(&at, header) : NULL;
}

/* The text of a record after its length. */
static struct text
record(const struct dl_find_object *o, const void *from)
{
	struct text t = object_text(o, from);
	uint64_t nbytes = take(&t, 4);

	t.end = nbytes <= (size_t)(t.end - t.at) ? t.at + nbytes : t.at;
	return t;
}

/* What instructions have in common. False when it is written in a way that is not known. */
static bool
read_cie(struct entry *e, struct text t)
{
	const char *letters;
	struct text data;
	uint64_t version, nbytes;

	if (take(&t, 4) != 0)
		return false;
	version = take(&t, 1);
	letters = (const char *)t.at;
	while (t.at < t.end && take(&t, 1) != 0)
		continue;
	e->code_align = take_uleb(&t);
	e->data_align = take_sleb(&t);
	if ((version == 1 ? take(&t, 1) : take_uleb(&t)) != REG_RA || letters[0] != 'z')
		return false;
	nbytes = take_uleb(&t);
	if (nbytes > (size_t)(t.end - t.at))
		return false;
	data = (struct text){ t.at, t.at + nbytes };
	e->common = (struct text){ t.at + nbytes, t.end };
	e->signal = strchr(letters, 'S') != NULL;
	for (const char *l = letters + 1; *l == 'R' || *l == 'P' || *l == 'L'; l++) {
		uint64_t encoding = take(&data, 1);

		if (*l == 'R')
			return encoding == ENC_PCREL_S4;
		if (*l == 'P')
			(void)take(&data, (encoding & 7) == 0 || (encoding & 7) == 4 ? 8 : 4);
	}
	return false;
}

/* Reads the entry for pc; false when there is none. */
__attribute__((unused)) static bool
read_fde(struct entry *e, const struct dl_find_object *o, uintptr_t pc)
{
	const uint8_t *fde = find_fde(o, pc);
	struct text t = record(o, fde);
	uint64_t nbytes;

	if (fde == NULL || t.at == t.end)
		return false;
	/* The distance back to the CIE, from here. */
	fde = t.at;
	if (!read_cie(e, record(o, fde - (uint32_t)take(&t, 4))))
		return false;
	e->start = take_s4(&t, (uintptr_t)t.at);
	if (pc - e->start >= take(&t, 4))
		return false;
	nbytes = take_uleb(&t);
	if (nbytes > (size_t)(t.end - t.at))
		return false;
	e->own = (struct text){ t.at + nbytes, t.end };
	return true;
}

USUAL bool
cfi_object(uintptr_t pc, uintptr_t *start, uintptr_t *end, const char **path)
{
	struct dl_find_object o;

	if (!find_object(pc, &o))
		return false;
	*start = (uintptr_t)o.dlfo_map_start;
	*end = (uintptr_t)o.dlfo_map_end;
	*path = o.dlfo_link_map != NULL ? o.dlfo_link_map->l_name : NULL;
	return true;
}
#else
struct object {
	uintptr_t pc, start, end;
	const char *path; /* NULL while none is looked at */
};

/* One object of the process; the first one is the program, which has no name, as above. */
USUAL static int
look_at(struct dl_phdr_info *info, size_t nbytes, void *arg)
{
	struct object *o = arg;

	(void)nbytes;
	o->path = o->path == NULL ? "" : info->dlpi_name;
	o->start = UINTPTR_MAX;
	o->end = 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t at = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if (info->dlpi_phdr[i].p_type != PT_LOAD)
			continue;
		o->start = at < o->start ? at : o->start;
		at += info->dlpi_phdr[i].p_memsz;
		o->end = at > o->end ? at : o->end;
	}
	return o->pc >= o->start && o->pc < o->end;
}

/* Other C libraries have a lock there: it is for the start, for messages and for traces only. */
USUAL bool
cfi_object(uintptr_t pc, uintptr_t *start, uintptr_t *end, const char **path)
{
	struct object o = { .pc = pc };

	if (dl_iterate_phdr(look_at, &o) == 0)
		return false;
	*start = o.start;
	*end = o.end;
	*path = o.path;
	return true;
}
#endif

#if defined(DLFO_STRUCT_HAS_EH_DBASE) && defined(__x86_64__)
static struct cfi
compute(uintptr_t pc)
{
	struct cfi c = { .kind = CFI_STOP };
	struct state s = { .kind = CFI_STOP }, initial;
	struct dl_find_object o;
	struct entry e = { .start = 0 };

	if (!find_object(pc, &o) || o.dlfo_eh_frame == NULL || !read_fde(&e, &o, pc))
		return (struct cfi){ .kind = CFI_NONE };
	if (e.signal)
		return (struct cfi){ .kind = CFI_SIGNAL };
	initial = s;
	if (!run(&s, &initial, e.common, &e, pc))
		return c;
	initial = s;
	if (!run(&s, &initial, e.own, &e, pc) || s.ra_where != AT_CFA || s.ra != -8)
		return c;
	/* Without the frame pointer the walk goes on as long as nothing needs it. */
	if (s.cfa != (int32_t)s.cfa || s.fp % 8 != 0 || s.fp / 8 != (int16_t)(s.fp / 8) ||
	    (s.fp_where == AT_FP) != (s.kind == CFI_FP_DEREF))
		return c;
	c.kind = s.kind;
	c.cfa = (int32_t)s.cfa;
	c.fp_saved = s.fp_where == AT_CFA || s.fp_where == AT_FP;
	c.fp = (int32_t)s.fp;
	return c;
}
#else
/* Where compilers keep frame pointers by default those are enough. */
static struct cfi
compute(uintptr_t pc)
{
	(void)pc;
	return (struct cfi){ .kind = CFI_NONE };
}
#endif

struct cfi
cfi_find(uintptr_t pc)
{
	size_t i = (pc * 0x9e3779b97f4a7c15U) >> 52;
	uint64_t rule = load_relaxed(&cache[i].rule);
	struct cfi c;

	_Static_assert(CACHE_COUNT == 1U << 12, "the hash has 12 bits");
	if (UNLIKELY((load_relaxed(&cache[i].key) ^ rule) != pc)) {
		c = compute(pc);
		rule = (uint64_t)(uint32_t)c.cfa << CFA_SHIFT |
		    (uint32_t)(c.fp / 8) << FP_SHIFT | (uint64_t)c.fp_saved << 3 | c.kind;
		store_relaxed(&cache[i].rule, rule);
		store_relaxed(&cache[i].key, pc ^ rule);
		return c;
	}
	c.kind = (enum cfi_kind)(rule & 7);
	c.fp_saved = (rule >> 3 & 1) != 0;
	c.fp = ((int32_t)(uint32_t)rule >> FP_SHIFT) * 8;
	c.cfa = (int32_t)(rule >> CFA_SHIFT);
	return c;
}
