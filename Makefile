# Every command sets up what is missing first; nothing but Python 3.11 or later is needed.
#   make run     start the bot (without a token: the sandbox)
#   make test    the whole test suite
#   make check   format, lint, types, tests: what CI runs
#   make bench   the benchmarks
#   make fuzz    what reads strangers' bytes, given anything at all, for MINUTES=10
#   make setup   only the set-up

VENV := .venv
BIN := $(VENV)/bin/python
RUN_READY := $(VENV)/.ready-to-run
DEV_READY := $(VENV)/.ready-to-develop
PINS := requirements.txt constraints.txt
INSTALL := $(BIN) -m pip install -qq --no-input --disable-pip-version-check -c constraints.txt

MINUTES ?= 10

.PHONY: run test check bench fuzz setup
.DEFAULT_GOAL := run

run: $(RUN_READY)
	@exec $(BIN) main.py

test: $(DEV_READY)
	@$(BIN) -m pytest

check: $(DEV_READY)
	$(BIN) -m ruff format --check .
	$(BIN) -m ruff check .
	$(BIN) -m mypy
	@$(MAKE) --no-print-directory test

bench: $(DEV_READY)
	@$(BIN) -m benchmarks

fuzz: $(RUN_READY)
	@$(INSTALL) -r requirements-fuzz.txt
	@nice $(BIN) -m tests.fuzz --minutes $(MINUTES)

setup: $(DEV_READY)

# A stamp is laid only when pip is done, so an interrupted set-up is taken up again.
$(RUN_READY): $(PINS)
	@$(venv)
	@echo "Installing dependencies (about half a minute) …"
	@$(INSTALL) -r requirements.txt
	@touch $@

$(DEV_READY): $(PINS) requirements-dev.txt
	@$(venv)
	@echo "Installing dependencies (about half a minute) …"
	@$(INSTALL) -r requirements-dev.txt
	@touch $(RUN_READY) $@

# Makes the environment anew unless the one that is there works.
define venv
enough='import sys; sys.exit(sys.version_info < (3, 11))'; \
if ! { $(BIN) -c "$$enough" && $(BIN) -m pip --version; } >/dev/null 2>&1; then \
    for python in python3 python3.13 python3.12 python3.11 ""; do \
        test -z "$$python" || ! "$$python" -c "$$enough" >/dev/null 2>&1 || break; \
    done; \
    if test -z "$$python"; then \
        echo "Amana needs Python 3.11 or later, found none: install it, then repeat." >&2; \
        exit 1; \
    fi; \
    echo "Setting up $(VENV) …"; \
    if ! "$$python" -m venv --clear $(VENV); then \
        echo "$$python cannot make $(VENV). On Debian or Ubuntu: apt-get install python3-venv" >&2; \
        exit 1; \
    fi; \
fi
endef
