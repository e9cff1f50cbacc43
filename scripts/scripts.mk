# Targets for people: try, check, tidy, lint, format, setup; install.mk has install.
#   SETUP=no   installs nothing: tests skip themselves where something is missing
# Other makefiles add their part of `make check` by CHECK_MORE += check-x; it ends with its counts.

# What make itself needs comes first, even on a machine without a compiler: so what is built is
# asked for in the recipe and not as a prerequisite.
ifeq ($(SETUP),no)
setup-build setup:
else
setup-build:
	@scripts/setup.sh scripts/packages.txt
setup: setup-build
	@scripts/setup.sh --optional scripts/packages-check.txt $(sort $(wildcard */packages.txt))
endif

try: setup-build
	@$(MAKE) --no-print-directory -s $(SO)
	@/usr/bin/python3 scripts/try.py $(SO)

# Every part prints "N passed, N failed, N skipped", and so does the whole.
CHECK_PARTS = check-unit check-public check-classic check-docs check-install check-tidy \
	$(CHECK_MORE)
check: setup
	@$(MAKE) --no-print-directory all
	@MAKE="$(MAKE)" scripts/check.py $(CHECK_PARTS)

LINT_FLAGS = LINT_src='$(LIB_CFLAGS)' LINT_classic='$(CLASSIC_TEST_CFLAGS)' \
	LINT_tools='$(TOOLS_CFLAGS) -Isrc -I$(B)/gen' \
	LINT_tools_test='$(TOOLS_CFLAGS) -Isrc -Itest -Wno-missing-prototypes' \
	LINT_bench='$(BENCH_CFLAGS)' LINT_unit='$(UNIT_CFLAGS)' \
	LINT_fuzz='$(filter-out -w,$(FUZZ_FLAGS)) $(WARNINGS)' \
	LINT_revisited='$(REVISITED_CFLAGS)' LINT_test='$(TEST_BASE) $(TEST_CFLAGS)'

tidy:
	@CC="$(CC)" scripts/tidy.py
check-tidy:
	@CC="$(CC)" test/run.py scripts/tidy.py
check-docs: $(SO) $(A)
	@test/run.py --preload $(SO) scripts/docs.py
lint: setup-build
	@$(if $(filter no,$(SETUP)),:,scripts/setup.sh --optional scripts/packages-lint.txt)
	@$(if $(TOOLS_MISSING),:,$(MAKE) -s --no-print-directory $(B)/gen/profile.pb-c.c)
	@$(LINT_FLAGS) scripts/lint.py $(TOOL)
check-lint: setup-build
	@$(if $(filter no,$(SETUP)),:,scripts/setup.sh --optional scripts/packages-lint.txt)
	@$(if $(TOOLS_MISSING),:,$(MAKE) -s --no-print-directory $(B)/gen/profile.pb-c.c)
	@$(LINT_FLAGS) test/run.py --limit 1200 scripts/lint.py
format:
	@scripts/format.py

.PHONY: setup setup-build try check tidy check-tidy check-docs lint check-lint format

-include scripts/install.mk scripts/amalgamation.mk
