# Tests of the inner modules, each linked with all objects of the library, so that malloc in them
# is the library's own.
#   make check-unit    a program for each module, and check-fault
#   make check-fault   every kernel call fails in turn

UNIT_SRC := $(sort $(wildcard test/unit/*.c))
UNIT_BIN := $(UNIT_SRC:test/unit/%.c=$(B)/test/unit/%)
FAULT_BIN := $(B)/test/fault/fault

UNIT_CFLAGS := $(BASE_CFLAGS) -Isrc -Itest -Itest/unit -D_GNU_SOURCE -fno-builtin -pthread \
	-Wno-alloc-size-larger-than -Wno-use-after-free -Wno-free-nonheap-object \
	-Wno-unused-result -Wno-mismatched-dealloc -Wno-unknown-warning-option

$(B)/test/unit/%: test/unit/%.c test/unit/unit.mk $(OBJ)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(OBJ) -lm

$(FAULT_BIN): test/fault/fault.c test/fault/script.c test/fault/script.h test/tap.h $(OBJ)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) $(LDFLAGS) -o $@ test/fault/fault.c test/fault/script.c $(OBJ)

-include $(UNIT_BIN:=.d)

unit-tests: $(UNIT_BIN) $(FAULT_BIN)
check-unit: $(UNIT_BIN) $(FAULT_BIN)
	test/run.py --limit 400 $(UNIT_BIN) $(FAULT_BIN)
check-fault: $(FAULT_BIN)
	test/run.py $<

.PHONY: unit-tests check-unit check-fault
