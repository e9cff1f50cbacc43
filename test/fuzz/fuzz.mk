# Fuzzing with clang's libFuzzer.
#   make fuzz SECONDS=60   for so long in all; what is found is left in build/fuzz
#   make check-fuzz        each target over its corpus in test/fuzz/corpus, and a second more

FUZZ_CC ?= clang
FUZZ_TARGETS := operations options snapshot trace profile
FUZZ_BIN := $(FUZZ_TARGETS:%=$(B)/fuzz/%)
FUZZ_FLAGS := -std=gnu17 -O1 -g -w -D_GNU_SOURCE -Iinclude -Isrc -fno-omit-frame-pointer -pthread
# The library is the fuzzer's own malloc in the first; the others have the sanitizers'.
FUZZ_LIB := -fsanitize=fuzzer -ftls-model=initial-exec -fno-builtin-malloc -fno-builtin-calloc \
	-fno-builtin-realloc -fno-builtin-free
FUZZ_SAN := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
FUZZ_TOOLS_snapshot := snapshot entries target base
FUZZ_TOOLS_trace := trace_read
$(B)/fuzz/profile: FUZZ_FLAGS += -Dfree=fuzz_free
FUZZ_TOOLS_profile := profile_read target find symbol
CHECK_MORE += check-fuzz

$(B)/fuzz/operations: test/fuzz/operations.c $(SRC) $(B)/obj/api/catch.o $(wildcard src/*/*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(FUZZ_LIB) -o $@ $(filter %.c %.o,$^)

$(B)/fuzz/options: test/fuzz/options.c src/conf/conf.c src/base/fmt.c test/fuzz/alone.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(FUZZ_SAN) -o $@ $^

$(B)/fuzz/%: test/fuzz/%.c $(wildcard tools/*.c tools/*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(FUZZ_SAN) -o $@ $< $(FUZZ_TOOLS_$*:%=tools/%.c) -lzstd -ldw -lelf \
		-lstdc++ -lm

fuzz-targets: $(FUZZ_BIN)
fuzz: $(FUZZ_BIN)
	test/fuzz/fuzz.py --seconds $(SECONDS) $(FUZZ_BIN)

check-fuzz:
	@FUZZ_BIN="$(FUZZ_BIN)" MAKE="$(MAKE)" FUZZ_CC="$(FUZZ_CC)" test/run.py test/fuzz/check.py

.PHONY: fuzz fuzz-targets check-fuzz
