# The benchmarks. Nothing here is part of `make all`; doc/benchmarks.md explains.
#   make bench [RUNS=5] [ONLY=larson-t4,churn] [GROUP=one] [PEERS="NAME=path.so ..."]
#              [ALLOCATORS=phkmalloc,glibc] [SCALE=0.5] [IDLE=10] [BENCH_OUT=dir]
#              [BENCH_ARGS="--wait 10 --update-doc doc/benchmarks.md"]
#   make bench-instructions [PEERS=...]

B ?= build
SO ?= $(B)/libphkmalloc.so
BENCH_OUT ?= $(B)/bench/out
BENCH_CFLAGS = -std=c17 $(or $(CFLAGS),-O2) $(WARNINGS) -fno-builtin-malloc \
	-fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free -pthread
BENCH_PROGRAMS := $(patsubst bench/%.c,$(B)/bench/%,\
	$(filter-out bench/launch.c,$(wildcard bench/*.c)))
BENCH_PEERS = $(addprefix --peer ,$(PEERS))

.PHONY: bench bench-programs bench-setup bench-instructions

bench: bench-setup bench-programs $(SO)
	bench/run.py --subject $(SO) --bin $(B)/bench --out $(BENCH_OUT) $(BENCH_PEERS) \
		$(if $(RUNS),--runs $(RUNS)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(IDLE),--idle $(IDLE)) $(if $(GROUP),--group $(GROUP)) \
		$(if $(SCALE),--scale $(SCALE)) \
		$(if $(ALLOCATORS),--allocators $(ALLOCATORS)) $(BENCH_ARGS)

bench-setup:
	@$(if $(filter no,$(SETUP)),:,bench/run.py --setup)

bench-instructions: bench-setup bench-programs $(SO)
	bench/insn.py --subject $(SO) --bin $(B)/bench $(BENCH_PEERS) $(BENCH_ARGS)

bench-programs: $(BENCH_PROGRAMS) $(B)/bench/launch

$(B)/bench/launch: bench/launch.c
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) $(LDFLAGS) -static -o $@ $<

$(BENCH_PROGRAMS): $(B)/bench/%: bench/%.c bench/common.h
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) $(LDFLAGS) -o $@ $< -ldl $(BENCH_LIBS)

# For operator new and delete of allocators that have none.
$(B)/bench/insn: BENCH_LIBS = -lstdc++
