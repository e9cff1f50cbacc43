# Tests of the public interface: programs that run with the library preloaded, and scripts that
# start real programs so.
#   make check-public   all of them        make check-fast   those that take a second or less

TEST_REPLACED := $(addprefix $(B)/test/api/replaced-,plain array aligned static)
TEST_API := $(patsubst test/%.c,$(B)/test/%,$(sort $(wildcard test/api/*.c))) $(B)/test/api/new \
	$(B)/test/api/new-static $(TEST_REPLACED)
TEST_MISUSE := $(patsubst test/%.c,$(B)/test/%,$(sort $(wildcard test/misuse/*.c)))
TEST_MEMORY := $(patsubst test/%.c,$(B)/test/%,$(sort $(wildcard test/memory/*.c)))
TEST_PROPERTY := $(patsubst test/%.c,$(B)/test/%,$(sort $(wildcard test/property/*.c)))
TEST_STRESS := $(patsubst test/%.c,$(B)/test/%,$(sort $(wildcard test/stress/*.c)))
TEST_ATTACK := $(B)/test/attack/attack
TEST_LIFE := $(B)/test/life/process $(B)/test/fault/seccomp
TEST_SCRIPTS := $(sort $(wildcard test/api/*.py test/life/*.py test/misuse/*.py \
	test/memory/*.py test/real/*.py))
TEST_BIN := $(TEST_API) $(TEST_MISUSE) $(TEST_MEMORY) $(TEST_PROPERTY) $(TEST_STRESS) \
	$(TEST_ATTACK) $(TEST_LIFE)
TEST_HEADERS := test/tap.h $(wildcard include/*.h) $(wildcard test/*/*.h test/*/*.def)
TEST_LIMIT ?= 400

# Without builtins: compilers know what malloc promises and take the tests of it away.
# And they warn of what tests do on purpose.
TEST_CFLAGS := -D_GNU_SOURCE -Itest -fno-builtin -pthread -Wno-unknown-warning-option \
	-Wno-alloc-size-larger-than -Wno-use-after-free -Wno-free-nonheap-object -Wno-unused-result \
	-Wno-mismatched-dealloc
# Without sanitizers: those bring an allocator of their own.
TEST_BASE := $(filter-out -fsanitize=%,$(BASE_CFLAGS))
TEST_CXXFLAGS := -std=c++17 -fsized-deallocation \
	$(filter-out -std=% -Wstrict-prototypes -Wmissing-prototypes,$(TEST_BASE))
# For what only this library has. The one that is preloaded has the same name and comes first.
TEST_LINK = $(SO) -Wl,-rpath,$(abspath $(B)) -ldl
TEST_LDFLAGS = $(filter-out -fsanitize=%,$(LDFLAGS))
TEST_RUN = test/run.py --preload $(SO) --static $(A) --limit $(TEST_LIMIT)

$(TEST_BIN): $(TEST_HEADERS)

$(B)/test/%: test/%.c | $(SO)
	@mkdir -p $(@D)
	$(CC) $(TEST_BASE) $(TEST_CFLAGS) $(TEST_LDFLAGS) -o $@ $< $(TEST_LINK)

$(B)/test/%: test/%.cc | $(SO)
	@mkdir -p $(@D)
	$(CXX) $(TEST_CXXFLAGS) $(TEST_CFLAGS) $(TEST_LDFLAGS) -o $@ $< $(TEST_LINK)

$(B)/test/life/process: $(B)/test/life/libplugin.so
$(B)/test/life/libplugin.so: test/life/plugin.c
	@mkdir -p $(@D)
	$(CC) $(TEST_BASE) -fPIC -shared -o $@ $<
	@for i in $$(seq 0 39); do cp $@ $(@D)/libplugin$$i.so; done

$(B)/test/fault/seccomp: test/fault/seccomp.c test/fault/script.c | $(SO)
	@mkdir -p $(@D)
	$(CC) $(TEST_BASE) $(TEST_CFLAGS) -o $@ $(filter %.c,$^) $(TEST_LINK)

$(TEST_ATTACK): test/attack/main.c test/attack/attack.c | $(SO)
	@mkdir -p $(@D)
	$(CC) $(TEST_BASE) $(TEST_CFLAGS) -Wno-array-bounds -o $@ $(filter %.c,$^) $(TEST_LINK)

# Exceptions go through frames of the archive, too.
$(B)/test/api/new-static: test/api/new.cc $(A)
	@mkdir -p $(@D)
	$(CXX) $(TEST_CXXFLAGS) $(TEST_CFLAGS) -static -o $@ $(filter %.cc %.a,$^)

$(B)/test/api/replaced-%: test/api/replaced.cc | $(SO)
	@mkdir -p $(@D)
	$(CXX) $(TEST_CXXFLAGS) $(TEST_CFLAGS) $(TEST_LDFLAGS) -Wno-sized-deallocation \
		-D$(shell echo $* | tr a-z A-Z) -o $@ $< $(TEST_LINK)
$(B)/test/api/replaced-static: test/api/replaced.cc $(A)
	@mkdir -p $(@D)
	$(CXX) $(TEST_CXXFLAGS) $(TEST_CFLAGS) -Wno-sized-deallocation -DPLAIN -static -o $@ \
		$(filter %.cc %.a,$^)

public-tests: $(TEST_BIN)

check-public: $(TEST_BIN) $(SO) $(A)
	$(TEST_RUN) $(TEST_BIN) $(TEST_SCRIPTS)

check-fast: $(TEST_API) $(TEST_MISUSE) $(SO) $(A)
	$(TEST_RUN) $(TEST_API) $(TEST_MISUSE) \
		$(sort $(wildcard test/api/*.py test/misuse/*.py))

# The table of mistakes and what finds them, as a page.
doc/misuse.md: $(B)/test/misuse/misuse $(SO)
	LD_PRELOAD=$(abspath $(SO)) $< --table > $@.new
	mv $@.new $@

.PHONY: public-tests check-public check-fast
