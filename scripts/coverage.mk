# Which lines and branches of the library the tests reach, by clang's counters.
#   make coverage      runs the tests on a library that counts; the table is printed, and the lines
#                      that were not reached are left in build/coverage/lines.txt
# The counters lie in a file that all processes share, so that those that end in abort() count too.

COVERAGE_FLAGS := -O1 -g -fprofile-instr-generate -fcoverage-mapping -fprofile-update=atomic \
	-mllvm -runtime-counter-relocation

coverage:
	@MAKE="$(MAKE)" FLAGS="$(COVERAGE_FLAGS)" scripts/coverage.py $(TESTS)

.PHONY: coverage
