# make install, make uninstall: library, header, manual pages, command, and a file for pkg-config.
#   PREFIX=/usr/local   where it will be used        LIBDIR, BINDIR, ...   parts of it elsewhere
#   DESTDIR=            a folder that stands in for / meanwhile, as packagers want it

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
INSTALL ?= install

INSTALL_VERSION = $(shell sed -n 's/^\#define PHKMALLOC_VERSION "\(.*\)"/\1/p' include/phkmalloc.h)
INSTALL_COMPLETIONS := $(wildcard share/bash-completion/completions/*)
INSTALL_GDB := $(wildcard share/gdb/*.py)
INSTALL_MAN := $(wildcard man/*.[1-9])
# Where each file goes: what `uninstall` removes and the test counts.
INSTALLED = $(LIBDIR)/libphkmalloc.so $(LIBDIR)/libphkmalloc.a $(PKGCONFIGDIR)/phkmalloc.pc \
	$(INCLUDEDIR)/phkmalloc.h $(INCLUDEDIR)/phkmalloc_inspect.h $(BINDIR)/phkmalloc \
	$(foreach m,$(INSTALL_MAN),$(MANDIR)/man$(subst .,,$(suffix $m))/$(notdir $m)) \
	$(INSTALL_COMPLETIONS:share/%=$(DATADIR)/%) $(INSTALL_GDB:share/gdb/%=$(DATADIR)/phkmalloc/%)
# For lists of files that may be empty: $(call install_each,MODE,FILES,FOLDER)
install_each = $(if $2,$(INSTALL) -d '$(DESTDIR)$3' && $(INSTALL) -m $1 $2 '$(DESTDIR)$3/',:)

install: all
	@$(call install_each,644,$(SO) $(A),$(LIBDIR))
	@$(call install_each,644,include/phkmalloc.h include/phkmalloc_inspect.h,$(INCLUDEDIR))
	@$(foreach m,$(INSTALL_MAN),$(call \
		install_each,644,$m,$(MANDIR)/man$(subst .,,$(suffix $m))) &&) :
	@$(call install_each,755,$(wildcard $(B)/phkmalloc),$(BINDIR))
	@$(call install_each,644,$(INSTALL_COMPLETIONS),$(DATADIR)/bash-completion/completions)
	@$(call install_each,644,$(INSTALL_GDB),$(DATADIR)/phkmalloc)
	@$(INSTALL) -d '$(DESTDIR)$(PKGCONFIGDIR)'
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' \
		'Name: phkmalloc' 'Description: A malloc that checks every pointer' \
		'Version: $(INSTALL_VERSION)' 'Libs: -L$${libdir} -lphkmalloc' \
		'Cflags: -I$${includedir}' >'$(DESTDIR)$(PKGCONFIGDIR)/phkmalloc.pc'
	@chmod 644 '$(DESTDIR)$(PKGCONFIGDIR)/phkmalloc.pc'
# The loader finds a new library in its cache only; who may not write that has other ways.
	@[ -n '$(DESTDIR)' ] || PATH="$$PATH:/sbin:/usr/sbin" ldconfig 2>/dev/null || :
	@echo "installed phkmalloc $(INSTALL_VERSION) to $(DESTDIR)$(PREFIX)"

uninstall:
	@rm -f $(foreach f,$(INSTALLED),'$(DESTDIR)$f')
	@[ ! -d '$(DESTDIR)$(DATADIR)/phkmalloc' ] || rmdir '$(DESTDIR)$(DATADIR)/phkmalloc'
	@[ -n '$(DESTDIR)' ] || PATH="$$PATH:/sbin:/usr/sbin" ldconfig 2>/dev/null || :

check-install: $(SO) $(A)
	@MAKE="$(MAKE)" CC="$(CC)" test/run.py scripts/install_test.py

.PHONY: install uninstall check-install
