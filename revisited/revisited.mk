# The comparison with 1996, made again: waste, the death rattle, a game server.
#   make revisited [ROUNDS=3] [PARTS=waste,rattle,pages,game]   build/revisited/results.json
#   make revisited-doc       the same, and its tables and plots into doc/revisited.md
#   make check-revisited     the experiment itself, tiny: TAP
# The death rattle needs root, a memory control group and room for a swap file of 1 GiB; it is
# skipped, with the reason, where they are not to be had.

B ?= build
REVISITED_PROGRAMS := $(B)/revisited/waste $(B)/revisited/rattle $(B)/revisited/game
REVISITED_CFLAGS := -std=gnu17 $(or $(CFLAGS),-O2) $(WARNINGS) -D_GNU_SOURCE -fno-builtin -pthread
REVISITED_RUN = revisited/run.py --build $(B) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	$(if $(PARTS),--parts $(PARTS))

.PHONY: revisited revisited-doc check-revisited

revisited: $(REVISITED_PROGRAMS) $(SO) classic
	$(REVISITED_RUN)

revisited-doc: $(REVISITED_PROGRAMS) $(SO) classic
	$(REVISITED_RUN) --doc doc/revisited.md

check-revisited: $(REVISITED_PROGRAMS) $(SO) classic
	@B=$(B) revisited/check.py

$(REVISITED_PROGRAMS): $(B)/revisited/%: revisited/%.c revisited/common.h
	@mkdir -p $(@D)
	$(CC) $(REVISITED_CFLAGS) -o $@ $< -ldl
