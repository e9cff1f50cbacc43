# Recording, reading and replaying traces.
#   make check-trace
#   make bench-trace [TRACE_ARGS="--rounds 5 --only python,churn"]   what recording costs

TRACE_TESTS := $(addprefix test/trace/,record.py replay.py show.py)
TRACE_READER := $(addprefix tools/trace_,read.c streams.c order.c objects.c)
TRACE_CFLAGS := $(filter-out -fsanitize=%,$(BASE_CFLAGS)) -D_GNU_SOURCE -Itest

$(B)/test/trace/subject: test/trace/subject.c test/tap.h
	@mkdir -p $(@D)
	$(CC) $(TRACE_CFLAGS) -fno-builtin -pthread -Wno-alloc-size-larger-than -o $@ $<
$(B)/test/trace/subject-static: test/trace/subject.c test/tap.h $(A)
	@mkdir -p $(@D)
	$(CC) $(TRACE_CFLAGS) -fno-builtin -pthread -Wno-alloc-size-larger-than -static -o $@ $< $(A)
$(B)/test/trace/objects: test/trace/objects.cc
	@mkdir -p $(@D)
	$(CXX) $(filter-out -std=% -Wstrict-prototypes -Wmissing-prototypes -fsanitize=%, \
		$(BASE_CFLAGS)) -std=c++17 -O0 -o $@ $<
# The reader with damaged traces; with sanitizers, so not with the library.
$(B)/test/trace/damage: test/trace/damage.c $(TRACE_READER) $(wildcard tools/trace_*.h)
	@mkdir -p $(@D)
	$(CC) $(TRACE_CFLAGS) -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ \
		$(filter %.c,$^) -lzstd

CHECK_MORE += check-trace
ifeq ($(TOOLS_MISSING),)
check-trace: $(B)/phkmalloc $(B)/test/trace/subject $(B)/test/trace/subject-static \
		$(B)/test/trace/objects $(B)/test/trace/damage $(SO)
	@TOOL=$(abspath $(B)/phkmalloc) SUBJECTS=$(abspath $(B)/test/trace) SO=$(abspath $(SO)) \
		test/run.py --limit 900 $(B)/test/trace/damage $(TRACE_TESTS)
else
check-trace:
	@echo "check-trace: $(TOOLS_WANT)"
	@echo "0 passed, 0 failed, 1 skipped"
endif

bench-trace: $(B)/phkmalloc $(SO) bench-programs
	test/trace/overhead.py --build $(B) $(TRACE_ARGS)

.PHONY: check-trace bench-trace
