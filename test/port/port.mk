# Other machines, C libraries and compilers. Not part of `make check`: QEMU takes its time.
#   make check-ports           all      make check-port-musl, check-port-aarch64, ...   one of them

PORTS := clang old-kernel static musl musl-static aarch64 aarch64-64k riscv64

check-ports: setup-build
	@$(if $(filter no,$(SETUP)),:,scripts/setup.sh --optional test/port/packages.txt)
	@MAKE="$(MAKE)" scripts/check.py $(PORTS:%=check-port-%)

$(PORTS:%=check-port-%): check-port-%:
	@MAKE="$(MAKE)" test/port/port.py $*

.PHONY: check-ports $(PORTS:%=check-port-%)
