# The library as one C file and one header, to be put into a program's own source.
#   make amalgamation        build/amalgamation/phkmalloc.c and phkmalloc.h
#   make check-amalgamation  builds and tests them

AMALGAMATION := $(B)/amalgamation

amalgamation: $(AMALGAMATION)/phkmalloc.c
$(AMALGAMATION)/phkmalloc.c: scripts/amalgamate.py src/README.md $(wildcard src/*/*.[ch]) \
		$(wildcard src/*/*.def) $(wildcard include/*.h)
	@scripts/amalgamate.py $(@D)
	@echo "wrote $@ and phkmalloc.h"

check-amalgamation: $(AMALGAMATION)/phkmalloc.c
	@AMALGAMATION=$(AMALGAMATION) CC="$(CC)" CXX="$(CXX)" test/run.py \
		scripts/amalgamation_test.py

CHECK_MORE += check-amalgamation

.PHONY: amalgamation check-amalgamation
