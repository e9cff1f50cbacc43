# The benchmarks themselves: that they measure what they say, and say what they could not measure.
#   make check-bench

CHECK_MORE += check-bench
BENCH_TEST_PEER := $(B)/test/bench/libpeer.so

$(BENCH_TEST_PEER): test/bench/peer.c
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -shared -fPIC -o $@ $<

check-bench: $(BENCH_TEST_PEER) $(SO) bench-programs
	@MAKE="$(MAKE)" B=$(B) SO=$(SO) test/run.py --limit 300 test/bench/harness.py

.PHONY: check-bench
