# A long mixed load: threads, forks, sizes of 1 byte to 64 MiB, random options.
#   make soak SECONDS=3600      the record of the last one is in doc/reliability.md

SOAK_BIN := $(B)/test/soak/soak
SECONDS ?= 60
CHECK_MORE += check-soak

$(SOAK_BIN): $(wildcard test/stress/*.h)

soak: $(SOAK_BIN)
	LD_PRELOAD=$(abspath $(SO)) $< $(SECONDS)

# Long enough to see that it works.
check-soak: $(SOAK_BIN) $(SO)
	test/run.py --preload $(SO) $<

.PHONY: soak check-soak
