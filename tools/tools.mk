# The `phkmalloc` command. It is part of `all` when the libraries of tools/packages.txt are there.
#   make tools         the command      make check-tools   tests of it
#   make doc/heap.svg  the picture in README.md

TOOLS_SRC := $(sort $(wildcard tools/*.c))
TOOLS_OBJ := $(TOOLS_SRC:tools/%.c=$(B)/obj/tools/%.o)
TOOLS_LIBS := ncursesw cairo libzstd libdw libprotobuf-c zlib
TOOLS_MISSING := $(strip $(foreach l,$(TOOLS_LIBS),$(shell pkg-config --exists $l 2>/dev/null || \
	echo $l)))

ifeq ($(TOOLS_MISSING),)
TOOLS_CFLAGS := $(BASE_CFLAGS) -D_GNU_SOURCE $(shell pkg-config --cflags $(TOOLS_LIBS))
TOOLS_LDLIBS := $(shell pkg-config --libs $(TOOLS_LIBS)) -lstdc++ -lm
tools: $(B)/phkmalloc
all: $(B)/phkmalloc
else
TOOLS_WANT = the phkmalloc command needs $(TOOLS_MISSING): apt-get install pkg-config $(shell \
	grep 'lib.*-dev' tools/packages.txt)
tools:
	@echo "$(TOOLS_WANT)"; false
all: tools-missing
tools-missing:
	@echo "$(TOOLS_WANT)"
endif

# What reads and writes pprof's format, made of its description.
$(B)/gen/profile.pb-c.c: tools/profile.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=tools --c_out=$(@D) $<
$(B)/obj/tools/profile.pb-c.o: $(B)/gen/profile.pb-c.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -W%,$(TOOLS_CFLAGS)) -c -o $@ $<
$(B)/obj/tools/pprof.o: TOOLS_CFLAGS += -I$(B)/gen
$(B)/obj/tools/pprof.o: $(B)/gen/profile.pb-c.c

$(B)/obj/tools/%.o: tools/%.c tools/tools.mk
	@mkdir -p $(@D)
	$(CC) $(TOOLS_CFLAGS) -MMD -MP -c -o $@ $<

# The pages that maps, profiles and traces are written into, as they are.
$(B)/obj/tools/%.html.o: tools/%.html
	@mkdir -p $(@D)
	$(LD) -r -b binary -z noexecstack -o $@ $<

# The program that runs traces again, which the command has in it.
REPLAY_SRC := $(sort $(wildcard tools/replay/*.c))
$(B)/replay-engine: $(REPLAY_SRC) tools/replay/engine.h tools/replay_format.h
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(BASE_CFLAGS)) -D_GNU_SOURCE -fno-builtin -pthread -o $@ \
		$(REPLAY_SRC)
$(B)/obj/tools/replay-engine.o: $(B)/replay-engine
	@mkdir -p $(@D)
	cd $(B) && $(LD) -r -b binary -z noexecstack -o obj/tools/replay-engine.o replay-engine

# The library's counter is what times in a trace are of.
$(B)/obj/tools/record.o: TOOLS_CFLAGS += -Isrc
TOOLS_PARTS := $(B)/obj/os/counter.o $(addprefix $(B)/obj/tools/,map.html.o flame.html.o \
	trace.html.o replay-engine.o profile.pb-c.o)
$(B)/phkmalloc: $(TOOLS_OBJ) $(TOOLS_PARTS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(TOOLS_LDLIBS)

-include $(TOOLS_OBJ:.o=.d)

.PHONY: tools tools-missing

$(B)/tools/heap: tools/test/heap.c | $(SO)
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(BASE_CFLAGS)) -D_GNU_SOURCE -pthread -o $@ $<
# As a program can be at its worst: static, and without any symbol.
$(B)/tools/heap-static: tools/test/heap.c $(A)
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(BASE_CFLAGS)) -D_GNU_SOURCE -pthread -static -s -o $@ $< $(A)

# What reads processes, with memory that is made up; with sanitizers, so not with the library.
TOOLS_READER := $(addprefix tools/,base.c target.c find.c snapshot.c entries.c)
$(B)/tools/hostile: tools/test/hostile.c $(TOOLS_READER) $(wildcard tools/*.h)
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(BASE_CFLAGS)) -D_GNU_SOURCE -Itest \
		-fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^)

# The picture in README.md: a program's heap, as the command draws it.
doc/heap.svg: $(B)/phkmalloc tools/test/picture.py $(SO)
	@LD_PRELOAD=$(abspath $(SO)) PYTHONMALLOC=malloc PYTHONHASHSEED=0 /usr/bin/python3 \
		tools/test/picture.py | { read -r ready; \
		pid=$$(pgrep -f '^/usr/bin/python3 tools/test/picture.py' | head -n 1); \
		$< map -o $@ "$$pid"; kill "$$pid"; }

$(B)/tools/corrupt: tools/test/corrupt.c | $(SO)
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(BASE_CFLAGS)) -D_GNU_SOURCE -o $@ $< -ldl

# As programs are compiled: optimized, without frame pointers, and with what tells lines.
$(B)/tools/stacks: tools/test/stacks.c | $(SO)
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -g -fomit-frame-pointer -fno-optimize-sibling-calls -o $@ $<

CHECK_MORE += check-tools
ifeq ($(TOOLS_MISSING),)
TOOLS_TESTS := $(sort $(filter-out %/picture.py,$(wildcard tools/test/*.py)))
TOOLS_PROGRAMS := $(addprefix $(B)/tools/,heap heap-static corrupt stacks)
check-tools: $(B)/phkmalloc $(TOOLS_PROGRAMS) $(B)/tools/hostile $(SO)
	@TOOL=$(abspath $(B)/phkmalloc) SO=$(abspath $(SO)) HEAP=$(abspath $(B)/tools/heap) \
		HEAP_STATIC=$(abspath $(B)/tools/heap-static) \
		STACKS=$(abspath $(B)/tools/stacks) \
		CORRUPT=$(abspath $(B)/tools/corrupt) test/run.py --limit 300 $(B)/tools/hostile \
		$(TOOLS_TESTS)
else
check-tools:
	@echo "check-tools: $(TOOLS_WANT)"
	@echo "0 passed, 0 failed, 1 skipped"
endif

.PHONY: check-tools
