# The comparison with 1996, made again: waste, the death rattle, a game server, real traces,
# wrong pointers.
#   make revisited [ROUNDS=3] [PARTS=waste,rattle,pages,game,wrong,traces]
#                            the figures into build/revisited/results.json
#   make revisited-doc       the same, and its tables and plots into doc/revisited.md
#   make check-revisited     the experiment itself, tiny: TAP
# The death rattle needs root, a memory control group and room for a swap file of 256 MiB; it is
# skipped, with the reason, where they are not to be had.

B ?= build
REVISITED_PROGRAMS := $(addprefix $(B)/revisited/,waste rattle game play wrong)
REVISITED_HEADERS := $(addprefix revisited/,common.h referenced.h script.h)
REVISITED_CFLAGS := -std=gnu17 $(or $(CFLAGS),-O2) $(WARNINGS) -D_GNU_SOURCE -fno-builtin -pthread \
	-Wno-unknown-warning-option -Wno-use-after-free -Wno-free-nonheap-object
REVISITED_RUN = revisited/run.py --build $(B) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	$(if $(PARTS),--parts $(PARTS))

# The tool for Valgrind, where Valgrind has what tools are built with.
VALGRIND_LIBS := $(wildcard /usr/lib/x86_64-linux-gnu/valgrind)
VALGRIND_FILES := $(wildcard /usr/libexec/valgrind/*)
REVISITED_TOOL := $(if $(VALGRIND_LIBS),$(B)/revisited/valgrind/lru-amd64-linux)
REVISITED_TOOL_TEST := $(if $(VALGRIND_LIBS),$(B)/revisited/lru_test)
TOOL_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -fno-stack-protector -fno-strict-aliasing \
	-fno-builtin -fno-pie -DVGA_amd64=1 -DVGO_linux=1 -DVGP_amd64_linux=1 \
	-DVGPV_amd64_linux_vanilla=1 -isystem /usr/include/valgrind
TOOL_LDFLAGS := -static -no-pie -nodefaultlibs -nostartfiles -u _start -Wl,--build-id=none \
	-Wl,-Ttext-segment=0x58000000
# What traces are taken and read with.
REVISITED_TRACE := $(if $(TOOLS_MISSING),,$(B)/phkmalloc $(B)/revisited/script)
REVISITED_ALL = $(REVISITED_PROGRAMS) $(REVISITED_TOOL) $(REVISITED_TOOL_TEST) \
	$(REVISITED_TRACE) $(SO) classic

.PHONY: revisited revisited-doc check-revisited
CHECK_MORE += check-revisited

revisited: $(REVISITED_ALL)
	$(REVISITED_RUN)

revisited-doc: $(REVISITED_ALL)
	$(REVISITED_RUN) --doc doc/revisited.md

check-revisited: $(REVISITED_ALL)
	@B=$(B) revisited/check.py

$(REVISITED_PROGRAMS) $(REVISITED_TOOL_TEST): $(B)/revisited/%: revisited/%.c $(REVISITED_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(REVISITED_CFLAGS) -o $@ $< -ldl

TRACE_READER := $(addprefix tools/trace_,order.c streams.c objects.c read.c)
$(B)/revisited/script: revisited/script.c $(TRACE_READER) revisited/script.h \
		$(wildcard tools/trace_*.h)
	@mkdir -p $(@D)
	$(CC) $(REVISITED_CFLAGS) -o $@ $(filter %.c,$^) -lzstd

# Valgrind takes all it needs from one folder.
$(REVISITED_TOOL): revisited/lru.c
	@mkdir -p $(@D)
	@ln -sf $(VALGRIND_FILES) $(@D)/
	$(CC) $(TOOL_CFLAGS) -c -o $(@D)/lru.o $<
	$(CC) $(TOOL_LDFLAGS) -o $@ $(@D)/lru.o \
		$(addprefix $(VALGRIND_LIBS)/lib,coregrind-amd64-linux.a vex-amd64-linux.a \
		gcc-sup-amd64-linux.a) -lgcc
