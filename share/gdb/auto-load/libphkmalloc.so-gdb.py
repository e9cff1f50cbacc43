"""gdb: what an address is in a heap of phkmalloc, in a running process or a core file.

    phkmalloc-info ADDRESS    which chunk, allocation or free run, its size, in use or free

Reads memory by the library's descriptor (phkmalloc_inspect.h) and calls nothing, so it works on
core files, without debugging information, and for programs that the library is linked into, also
stripped ones. Never trusts what it reads: each count is bounded. Load it by "source"; where it is
installed as share/gdb/auto-load/PATH/OF/THE/LIBRARY-gdb.py gdb loads it with the library.
"""
import re
import struct

import gdb

VERSION = 5
FIELDS = ("page_shift arena_max arena_nbytes arena_origin arena_limit arena_page_dir arena_npages "
          "entry_nbytes entry_bits bits_countdown chunk_nchunks chunk_class_no chunk_state "
          "bits_started free_npages free_ndirty large_npages large_nbytes large_guard class_count "
          "class_nbytes class_size class_nchunks class_nwords class_remote").split()
POINTERS = ("arenas arena_count size_classes owners large_nmalloc large_nfree npurged "
            "conf_letters").split()
FREE, FIRST, FOLLOW, KEPT, OWNER_MIN = 1, 2, 3, 6, 64
PAGES_BACK_MAX = 1 << 25
BLOCK = 1024  # entries at once
NOTE_HEAD = 24  # bytes of a note before its contents


def read(address, code):
    data = gdb.selected_inferior().read_memory(address, struct.calcsize("<" + code))
    return struct.unpack("<" + code, bytes(data))[0]


def find_descriptor():
    """By its symbol, and where that was stripped off by the note that leads to it."""
    try:
        return int(gdb.parse_and_eval("(unsigned long)&phkmalloc_descriptor"))
    except gdb.error:
        pass
    note = re.search(r"(0x[0-9a-f]+) - 0x[0-9a-f]+ is \.note\.phkmalloc",
                     gdb.execute("info files", to_string=True))
    if note is None:
        raise gdb.GdbError("the program does not use phkmalloc, or is not running")
    at = int(note[1], 16) + NOTE_HEAD
    return at + read(at, "i")


class Heap:
    def __init__(self):
        at = find_descriptor()
        if bytes(gdb.selected_inferior().read_memory(at, 14)) != b"phkmalloc heap":
            raise gdb.GdbError("phkmalloc_descriptor is not in memory")
        if read(at + 16, "I") != VERSION:
            raise gdb.GdbError(f"the heap is described in version {read(at + 16, 'I')}, "
                               f"this reads version {VERSION}")
        at += 40
        for name in POINTERS:
            setattr(self, name, read(at, "Q"))
            at += 8
        for name in FIELDS:
            setattr(self, name, read(at, "I"))
            at += 4
        self.page = 1 << self.page_shift

    def find(self, p):
        """The arena's origin and page_dir, and the number of the page in it; None if foreign."""
        for i in range(min(read(self.arena_count, "I"), self.arena_max)):
            arena = self.arenas + i * self.arena_nbytes
            origin = read(arena + self.arena_origin, "Q")
            if 0 <= p - origin < read(arena + self.arena_limit, "Q"):
                return (origin, read(arena + self.arena_page_dir, "Q"),
                        (p - origin) >> self.page_shift)
        return None

    def describe(self, p):
        found = self.find(p)
        if found is None:
            return f"{p:#x} is not in the heap"
        origin, page_dir, number = found
        entry = page_dir + number * self.entry_nbytes
        if read(entry, "Q") >= OWNER_MIN:
            return self.chunk(p, origin + number * self.page, entry)
        first, kind = self.first_of(page_dir, number)
        entry = page_dir + first * self.entry_nbytes
        start = origin + first * self.page
        npages = read(entry + (self.free_npages if kind == FREE else self.large_npages), "I")
        if kind not in (FREE, FIRST, KEPT) or first + npages <= number:
            return f"{p:#x} is in a page that the heap does not use"
        where = f"{start:#x}-{start + npages * self.page:#x}"
        if kind == FREE:
            return f"{p:#x} is free: in a free run of {npages} pages, {where}"
        if kind == KEPT:
            return f"{p:#x} is free: in {npages} pages that a thread keeps, {where}"
        if read(entry + self.large_guard, "B"):
            return f"{p:#x} is in a guard page, {where}"
        size = read(entry + self.large_nbytes, "Q")
        return (f"{p:#x} is in use: byte {p - start} of the pages of a large allocation of {size} "
                f"bytes, {npages} pages, {where}")

    def first_of(self, page_dir, number):
        """The pages behind the first of an allocation or free run say nothing of their own."""
        for end in range(number + 1, max(0, number - PAGES_BACK_MAX), -BLOCK):
            begin = max(0, end - BLOCK)
            data = bytes(gdb.selected_inferior().read_memory(
                page_dir + begin * self.entry_nbytes, (end - begin) * self.entry_nbytes))
            for i in range(end - begin - 1, -1, -1):
                kind = struct.unpack_from("<Q", data, i * self.entry_nbytes)[0]
                if kind in (FREE, FIRST) or kind > FOLLOW:
                    return begin + i, kind
        return number, 0

    def chunk(self, p, start, entry):
        number = read(entry + self.chunk_class_no, "B")
        if number >= self.class_count:
            return f"{p:#x} is in a page whose entry is damaged: no class {number}"
        c = self.size_classes + number * self.class_nbytes
        size = read(c + self.class_size, "I")
        nchunks = read(c + self.class_nchunks, "H")
        i = (p - start) // size
        if i >= nchunks:
            return f"{p:#x} is behind the last chunk of {size} bytes of its page, {start:#x}"
        bits = read(entry + self.entry_bits, "Q") + i // 64 * 8
        remote = bits + read(c + self.class_remote, "H") * 8
        state = "in use"
        if read(bits, "Q") >> i % 64 & 1:
            state = "free"
        elif read(remote, "Q") >> i % 64 & 1:
            state = "free, by another thread than the page's owner"
        chunk = start + i * size
        return (f"{p:#x} is {state}: byte {p - chunk} of a chunk of {size} bytes, "
                f"{chunk:#x}-{chunk + size:#x}, number {i} of {nchunks} in page {start:#x}")


class Info(gdb.Command):
    """phkmalloc-info ADDRESS: which chunk, allocation or free run of the heap it lies in."""

    def __init__(self):
        super().__init__("phkmalloc-info", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("phkmalloc-info needs an address")
        try:
            p = int(gdb.parse_and_eval(f"(unsigned long)({argument})"))
            print(Heap().describe(p))
        except gdb.MemoryError as e:
            raise gdb.GdbError(f"the heap cannot be read: {e}") from e
        except gdb.error as e:
            raise gdb.GdbError(str(e)) from e


Info()
