# Targets for people: try, check, setup, tidy.

# What make itself needs comes first, even on a machine without a compiler.
setup-build:
	@scripts/setup.sh scripts/packages.txt
setup: setup-build
	@scripts/setup.sh test/packages.txt

try: setup-build
	@$(MAKE) --no-print-directory -s all
	@/usr/bin/python3 scripts/try.py $(SO)

check: setup
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory check-programs

tidy: setup-build
	@scripts/tidy.py

.PHONY: setup setup-build try check tidy
