# make install, make uninstall: libraries, headers, manual pages, command, and what pkg-config,
# CMake, the shell and gdb want to find them.
#   PREFIX=/usr/local   where it will be used        LIBDIR, BINDIR, ...   parts of it elsewhere
#   DESTDIR=            a folder that stands in for / meanwhile, as packagers want it

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
CMAKEDIR ?= $(LIBDIR)/cmake/phkmalloc
COMPLETIONDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
FISHDIR ?= $(DATADIR)/fish/vendor_completions.d
# Where gdb looks for what belongs to a library that it meets.
GDBDIR ?= $(DATADIR)/gdb/auto-load$(LIBDIR)
INSTALL ?= install

INSTALL_MAN := $(wildcard man/*.[1-9])
INSTALL_HEADERS := $(wildcard include/*.h)
INSTALL_COMPLETIONS := $(wildcard share/bash-completion/completions/*)
INSTALL_ZSH := $(wildcard share/zsh/site-functions/*)
INSTALL_FISH := $(wildcard share/fish/vendor_completions.d/*)
INSTALL_GDB := share/gdb/auto-load/libphkmalloc.so-gdb.py
INSTALL_SO = libphkmalloc.so.$(VERSION)
INSTALL_TEMPLATES := scripts/phkmalloc.pc.in scripts/phkmalloc-static.pc.in
INSTALL_CMAKE := scripts/phkmalloc-config.cmake.in scripts/phkmalloc-config-version.cmake.in
# Where each file goes: what `uninstall` removes and the test counts.
INSTALLED = $(addprefix $(LIBDIR)/,$(INSTALL_SO) $(SONAME) libphkmalloc.so libphkmalloc.a) \
	$(INSTALL_TEMPLATES:scripts/%.in=$(PKGCONFIGDIR)/%) \
	$(INSTALL_CMAKE:scripts/%.in=$(CMAKEDIR)/%) \
	$(INSTALL_HEADERS:include/%=$(INCLUDEDIR)/%) $(BINDIR)/phkmalloc \
	$(foreach m,$(INSTALL_MAN),$(MANDIR)/man$(subst .,,$(suffix $m))/$(notdir $m)) \
	$(INSTALL_COMPLETIONS:share/bash-completion/completions/%=$(COMPLETIONDIR)/%) \
	$(INSTALL_ZSH:share/zsh/site-functions/%=$(ZSHDIR)/%) \
	$(INSTALL_FISH:share/fish/vendor_completions.d/%=$(FISHDIR)/%) \
	$(GDBDIR)/$(INSTALL_SO)-gdb.py
# For lists of files that may be empty: $(call install_each,MODE,FILES,FOLDER)
install_each = $(if $2,$(INSTALL) -d '$(DESTDIR)$3' && $(INSTALL) -m $1 $2 '$(DESTDIR)$3/',:)
# From CMake's files to the others: what is installed may be moved as a whole.
install_relative = $(shell realpath -ms --relative-to='$(CMAKEDIR)' '$1')
install_fill = sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' \
	-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@SO@|$(INSTALL_SO)|; s|@SONAME@|$(SONAME)|' \
	-e 's|@TO_LIBDIR@|$(call install_relative,$(LIBDIR))|' \
	-e 's|@TO_INCLUDEDIR@|$(call install_relative,$(INCLUDEDIR))|'
# $(call install_filled,FILES,FOLDER)
install_filled = $(INSTALL) -d '$(DESTDIR)$2' && $(foreach f,$1,$(install_fill) $f \
	>'$(DESTDIR)$2/$(f:scripts/%.in=%)' && chmod 644 '$(DESTDIR)$2/$(f:scripts/%.in=%)' &&) :

install: all
	@$(call install_each,644,$(A),$(LIBDIR))
	@$(INSTALL) -m 644 $(SO) '$(DESTDIR)$(LIBDIR)/$(INSTALL_SO)'
	@ln -sf $(INSTALL_SO) '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	@ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/libphkmalloc.so'
	@$(call install_each,644,$(INSTALL_HEADERS),$(INCLUDEDIR))
	@$(foreach m,$(INSTALL_MAN),$(call \
		install_each,644,$m,$(MANDIR)/man$(subst .,,$(suffix $m))) &&) :
	@$(call install_each,755,$(wildcard $(B)/phkmalloc),$(BINDIR))
	@$(call install_each,644,$(INSTALL_COMPLETIONS),$(COMPLETIONDIR))
	@$(call install_each,644,$(INSTALL_ZSH),$(ZSHDIR))
	@$(call install_each,644,$(INSTALL_FISH),$(FISHDIR))
	@$(INSTALL) -d '$(DESTDIR)$(GDBDIR)'
	@$(INSTALL) -m 644 $(INSTALL_GDB) '$(DESTDIR)$(GDBDIR)/$(INSTALL_SO)-gdb.py'
	@$(call install_filled,$(INSTALL_TEMPLATES),$(PKGCONFIGDIR))
	@$(call install_filled,$(INSTALL_CMAKE),$(CMAKEDIR))
# The loader finds a new library in its cache only; who may not write that has other ways.
	@[ -n '$(DESTDIR)' ] || PATH="$$PATH:/sbin:/usr/sbin" ldconfig 2>/dev/null || :
	@echo "installed phkmalloc $(VERSION) to $(DESTDIR)$(PREFIX)"

# Folders that are ours alone go too; others may have been there before.
uninstall:
	@rm -f $(foreach f,$(INSTALLED),'$(DESTDIR)$f')
	@[ ! -d '$(DESTDIR)$(CMAKEDIR)' ] || rmdir '$(DESTDIR)$(CMAKEDIR)'
	@[ -n '$(DESTDIR)' ] || PATH="$$PATH:/sbin:/usr/sbin" ldconfig 2>/dev/null || :

check-install: $(SO) $(A)
	@MAKE="$(MAKE)" CC="$(CC)" test/run.py --limit 300 scripts/install_test.py

# The packages of debian/. It takes a minute or two, so it is not part of `make check`.
check-debian:
	@$(if $(filter no,$(SETUP)),:,scripts/setup.sh --optional scripts/packages-debian.txt)
	@test/run.py --limit 900 scripts/debian_test.py

.PHONY: install uninstall check-install check-debian
