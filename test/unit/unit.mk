# Tests of the inner modules, each linked with all objects of the library.

UNIT_SRC := $(sort $(wildcard test/unit/*.c))
UNIT_BIN := $(UNIT_SRC:test/unit/%.c=$(B)/test/unit/%)

$(B)/test/unit/%: test/unit/%.c test/unit/unit.h $(OBJ)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) -Isrc -Itest/unit -D_GNU_SOURCE -fno-builtin-malloc \
		-fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free $(LDFLAGS) -MMD -MP \
		-o $@ $< $(OBJ) -pthread

-include $(UNIT_BIN:=.d)

unit-tests: $(UNIT_BIN)
check-unit: $(UNIT_BIN)
	test/run.py $(UNIT_BIN)

.PHONY: unit-tests check-unit
