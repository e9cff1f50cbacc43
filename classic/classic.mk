# The historical allocators: libraries for LD_PRELOAD, and their tests.
#   make classic         build/classic/libkingsley.so, libfirstfit.so, libphk1996.so
#   make check-classic   their tests; the differential one also runs the main library

CLASSIC := kingsley firstfit phk1996
CLASSIC_SO := $(CLASSIC:%=$(B)/classic/lib%.so)
CLASSIC_WARNINGS := $(or $(WARNINGS),-Wall -Wextra -Wshadow -Wconversion)
# Without sanitizers: those bring an allocator of their own.
CLASSIC_CFLAGS := -std=gnu17 $(or $(CFLAGS),-O2 -g) $(CLASSIC_WARNINGS) -D_GNU_SOURCE \
	-fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free
# Tests ask for what cannot be had, and compilers know that nobody would.
CLASSIC_TEST_CFLAGS := $(CLASSIC_CFLAGS) -fno-builtin
CLASSIC_TESTS := $(CLASSIC:%=$(B)/classic/api-%) $(CLASSIC:%=$(B)/classic/test-%) \
	$(B)/classic/differ
CLASSIC_SCRIPTS := classic/test/waste.py classic/test/programs.py classic/test/shared.py
# Programs of the main library's tests that shared.py runs.
CLASSIC_SHARED := $(addprefix $(B)/test/,api/standard api/aligned stress/threads)
CLASSIC_HEADERS := $(wildcard classic/*.h classic/test/*.h)

.PHONY: classic check-classic classic-tests

classic: $(CLASSIC_SO) $(B)/classic/waste

$(B)/classic/libphk1996.so: classic/phk1996_talk.c
$(CLASSIC_SO): $(B)/classic/lib%.so: classic/%.c classic/shim.c $(CLASSIC_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CLASSIC_CFLAGS) -fPIC -fvisibility=hidden -ftls-model=initial-exec -shared \
		-Wl,-soname,lib$*.so -Wl,-z,relro,-z,now -o $@ $(filter %.c,$^)

# One program for each library: linked with it, so that no environment decides what is tested.
$(B)/classic/api-%: classic/test/api.c $(B)/classic/lib%.so $(CLASSIC_HEADERS)
	$(CC) $(CLASSIC_TEST_CFLAGS) -pthread -o $@ $(filter %.c %.so,$^) -Wl,-rpath,'$$ORIGIN'

$(B)/classic/test-%: classic/test/%.c $(B)/classic/lib%.so $(CLASSIC_HEADERS)
	$(CC) $(CLASSIC_TEST_CFLAGS) -o $@ $(filter %.c %.so,$^) -Wl,-rpath,'$$ORIGIN'

$(B)/classic/differ: classic/test/differ.c $(CLASSIC_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CLASSIC_TEST_CFLAGS) -o $@ $< -ldl

$(B)/classic/waste: classic/waste.c
	@mkdir -p $(@D)
	$(CC) $(CLASSIC_CFLAGS) -o $@ $< -ldl

classic-tests: classic $(CLASSIC_TESTS) $(CLASSIC_SHARED)

check-classic: classic-tests $(SO)
	@if [ -x test/run.py ]; then \
		B=$(B) test/run.py $(CLASSIC_TESTS) $(CLASSIC_SCRIPTS); \
	else \
		for t in $(CLASSIC_TESTS) $(CLASSIC_SCRIPTS); do B=$(B) $$t || exit 1; done; \
	fi
