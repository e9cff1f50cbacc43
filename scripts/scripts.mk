# Targets for people: try, check, setup, tidy.

# What make itself needs comes first, even on a machine without a compiler.
setup-build:
	@scripts/setup.sh scripts/packages.txt
setup: setup-build
	@scripts/setup.sh test/packages.txt

try: setup-build
	@$(MAKE) --no-print-directory -s all
	@/usr/bin/python3 scripts/try.py $(SO)

# Every part prints "N passed, N failed, N skipped", and so does the whole.
CHECK_PARTS := check-unit check-public check-classic check-tidy $(CHECK_MORE)
check: setup
	@$(MAKE) --no-print-directory all
	@scripts/check.py $(CHECK_PARTS)

tidy:
	@scripts/tidy.py
check-tidy:
	@test/run.py scripts/tidy.py

.PHONY: setup setup-build try check tidy check-tidy
