# The tests of the inner modules, and those with many threads, under sanitizers.
#   make check-thread     ThreadSanitizer          make check-address     AddressSanitizer, UBSan

# The sanitizer's runtime is the process's malloc, and the library goes by other names. Left out are
# tests of what is not so then: that the C library allocates too (owner), how deep stacks are
# (profile), how much memory the process has (block); and under ThreadSanitizer those whose threads
# allocate past its own end, or trap.
SANITIZE = @$(MAKE) --no-print-directory -s SETUP=no SAN=$1 B=build/san-$2 \
	CFLAGS="-O1 -g -include test/unit/renamed.h"
SANITIZE_STRESS := $(B)/test/unit/handover
SANITIZE_BOTH := $(filter-out %/block %/owner %/profile,$(UNIT_BIN)) $(SANITIZE_STRESS)
SANITIZE_THREAD := $(filter-out %/conf %/unwind,$(SANITIZE_BOTH))

$(SANITIZE_STRESS): $(B)/test/unit/%: test/stress/%.c $(OBJ)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) $(LDFLAGS) -o $@ $< $(OBJ) -ldl

# Without random placement: the runtimes' shadows want the places that they know.
sanitize-thread: $(SANITIZE_THREAD)
	@TSAN_OPTIONS="history_size=7 suppressions=$(abspath test/unit/thread.supp)" \
		setarch -R test/run.py --limit 500 $(SANITIZE_THREAD)
sanitize-address: $(SANITIZE_BOTH)
	@ASAN_OPTIONS=detect_leaks=0:handle_segv=0 setarch -R test/run.py --limit 500 $^

check-thread:
	$(call SANITIZE,thread,thread) sanitize-thread
check-address:
	$(call SANITIZE,address$(comma)undefined,address) sanitize-address

comma := ,

.PHONY: check-thread check-address sanitize-thread sanitize-address
