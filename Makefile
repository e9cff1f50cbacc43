# phkmalloc: `make` builds the library, `make try` shows it at work, `make check` tests it.
#
#   make CC=clang      another compiler          make SAN=thread, SAN=address   with a sanitizer
#   make DEBUG=1       with all assertions       make CROSS=aarch64-linux-gnu-  for another machine
# Each variant but the first has its own folder below build/.

CC ?= cc
CXX ?= c++
ifeq ($(origin CC),default)
CC := $(CROSS)gcc
endif
ifeq ($(origin CXX),default)
CXX := $(CROSS)g++
endif
ifeq ($(origin LD),default)
LD := $(CROSS)ld
endif
ifeq ($(origin AR),default)
AR := $(CROSS)ar
endif
OBJCOPY ?= $(CROSS)objcopy

variant := $(if $(DEBUG),-debug)$(if $(SAN),-$(SAN))$(CROSS:%-=-%)
B := build$(if $(variant),/$(patsubst -%,%,$(variant)))
SO := $(B)/libphkmalloc.so
A := $(B)/libphkmalloc.a
VERSION := $(shell sed -n 's/^\#define PHKMALLOC_VERSION "\(.*\)"/\1/p' include/phkmalloc.h)
# Programs ask for the library by this name; it changes when they would have to.
SONAME := libphkmalloc.so.$(firstword $(subst ., ,$(VERSION)))

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
CFLAGS ?= -O2 -g
# Distributions ask for it. It would mix the code that is kept apart below.
override CFLAGS := $(filter-out -flto%,$(CFLAGS))
BASE_CFLAGS := -std=gnu17 $(CPPFLAGS) $(CFLAGS) $(WARNINGS) -Iinclude -fno-omit-frame-pointer
ifdef DEBUG
BASE_CFLAGS += -DPHK_DEBUG=1
endif
ifdef SAN
BASE_CFLAGS += -fsanitize=$(SAN)
LDFLAGS += -fsanitize=$(SAN)
endif
# Not -fno-builtin-*: the compiler would make calls to calloc out of malloc and memset.
LIB_CFLAGS := $(BASE_CFLAGS) -Isrc -D_GNU_SOURCE -fPIC -fvisibility=hidden \
	-ftls-model=initial-exec -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc \
	-fno-builtin-free -fdata-sections -fno-semantic-interposition -fno-plt -fexceptions
# The allocator keeps no frame of its own on its fast paths; unwind tables serve profilers. On other
# machines and C libraries its own stacks come of frame pointers, see src/os/unwind.c.
GLIBC := $(shell $(CC) -E -dM -x c -include features.h /dev/null 2>/dev/null | \
	grep -o '__GLIBC__ [0-9]*$$')
ifneq ($(and $(filter x86_64%,$(shell $(CC) -dumpmachine 2>/dev/null)),$(GLIBC)),)
LIB_CFLAGS += -fomit-frame-pointer
endif
# What is for the library and not for its tests: counters of `make coverage`.
LIB_CFLAGS += $(LIB_MORE)

# What each process comes to lies together, in a segment of its own, for the kernel maps of a file
# what is around the OS page that is touched. The rest is .text_rare, except functions with USUAL.
USUAL := api/malloc api/new base/% chunk/% conf/% heap/heap heap/start heap/watched large/% \
	os/env os/lock os/thread os/vm page/%
RARE := chunk/chunk_check chunk/lost page/page_check
apart = $(if $(filter-out $(RARE),$(filter $(USUAL),$1)),,$(OBJCOPY) $(B)/obj/$1.o \
	--rename-section .text=.text_rare --rename-section .text.unlikely=.text_rare)
# Unwind tables are apart from constants for the same reason.
APART := -Wl,--section-start=.text_rare=0x80000,--section-start=.eh_frame_hdr=0x100000

SRC := $(sort $(wildcard src/*/*.c))
SRC_CXX := src/api/catch.cc
OBJ := $(SRC:src/%.c=$(B)/obj/%.o) $(SRC_CXX:src/%.cc=$(B)/obj/%.o)
# What a program with the library inside is to have.
INSIDE := $(filter-out %/api/dlopen.o,$(OBJ))

all: $(SO) $(A)

$(B)/obj/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<
	$(call apart,$*)

$(B)/obj/%.o: src/%.cc Makefile
	@mkdir -p $(@D)
	$(CXX) $(filter-out -std=% -Wstrict-prototypes -Wmissing-prototypes,$(LIB_CFLAGS)) \
		-std=gnu++17 -fno-rtti -MMD -MP -c -o $@ $<

$(SO): $(OBJ) src/api/export.map
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) \
		-Wl,--version-script=src/api/export.map -Wl,-z,relro,-z,now,-z,nodelete \
		-Wl,--no-undefined-version,--sort-section=alignment $(APART) \
		-o $@ $(OBJ)
	@ln -sf $(@F) $(@D)/$(SONAME)

# One object whose internal names nobody outside can see or collide with. Without groups: a linker
# would drop ours for a program's of the same name, and a local name in it would lead nowhere.
$(A): $(INSIDE)
	@rm -f $@
	$(LD) -r --force-group-allocation -o $(B)/phkmalloc.o $(INSIDE)
	$(OBJCOPY) --localize-hidden $(B)/phkmalloc.o
	$(AR) rcs $@ $(B)/phkmalloc.o
	@rm -f $(B)/phkmalloc.o

clean:
	rm -rf build

-include $(OBJ:.o=.d)
-include scripts/scripts.mk test/test.mk test/unit/unit.mk test/port/port.mk bench/bench.mk
-include classic/classic.mk tools/tools.mk test/trace/trace.mk revisited/revisited.mk
-include test/unit/sanitize.mk test/model/model.mk test/fuzz/fuzz.mk test/soak/soak.mk \
	test/bench/bench.mk
-include scripts/coverage.mk

.PHONY: all clean
.DEFAULT_GOAL := all
