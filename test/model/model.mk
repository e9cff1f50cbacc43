# The model of pages between threads, gone through by spin.
#   make check-model             half a minute of processor time
#   make check-model-long        larger sizes too, minutes and some GB

CHECK_MORE += check-model

check-model:
	@LONG=$(LONG) test/run.py --limit $(if $(LONG),3600,600) test/model/model.py

check-model-long:
	@$(MAKE) --no-print-directory SETUP=no LONG=yes check-model

.PHONY: check-model check-model-long
