# The model of pages between threads, gone through by spin.
#   make check-model             in seconds       LONG=yes   larger ones, in minutes

CHECK_MORE += check-model

check-model:
	@LONG=$(LONG) test/run.py --limit $(if $(LONG),3600,300) test/model/model.py

.PHONY: check-model
