# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Compiled when it is first imported, once: hundreds of processes of the tests import the same modules.
INSTALL := $(PIP) install --quiet --no-compile --constraint constraints.txt
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test fuzz lint style types imports pages kernels docs bench smoke peers clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Edgewise needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet 'pip>=26' # halves the minutes that what follows takes
	$(INSTALL) --editable '.[litert,onnx,serve,report]'
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(INSTALL) --requirement requirements-dev.txt
	touch $@

demo: $(VENV)/.installed
	$(BIN)/edgewise demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

# Property tests with examples that no run has seen: ROUNDS times, each with a seed of its own.
ROUNDS ?= 20
fuzz: $(VENV)/.dev
	for round in $$(seq $(ROUNDS)); do \
	  seed=$${SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}; \
	  echo "round $$round, to repeat it: make fuzz ROUNDS=1 SEED=$$seed"; \
	  $(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder -m hypothesis --hypothesis-profile fuzz --hypothesis-seed $$seed || exit 1; \
	done

# What takes longest is first; the kernels need no tool, and are compiled while those are installed.
lint: types style imports pages kernels

style: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

# What numba compiles is checked when it compiles it, and kept for the tests.
kernels: $(VENV)/.installed
	$(BIN)/edgewise simulate --profiles p2 --network home --sla 300 --requests 2000 --arrivals poisson:40 --workers 2 \
	  --policy deadline,mdinference+queue,fastest --quiet >/dev/null
	$(BIN)/edgewise simulate --profiles p2 --network home --sla 300 --requests 2000 --arrivals poisson:40 --workers 2 \
	  --policy deadline --discipline edf --quiet >/dev/null

pages: $(VENV)/.dev
	$(BUILD_DOCS)

# The documentation as a site in site/, and again while it is written: `make docs SERVE=1`. A link that leads
# nowhere fails (with --quiet mkdocs would not). Nothing is fetched.
BUILD_DOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
docs: $(VENV)/.dev
	$(if $(SERVE),NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve,$(BUILD_DOCS))

bench: $(VENV)/.dev
	for f in benchmarks/bench_*.py; do $(BIN)/python $$f || exit 1; done

# Every benchmark on seconds' worth of work: none can rot. The figures mean nothing.
smoke: $(VENV)/.dev
	for f in benchmarks/bench_*.py; do $(BIN)/python $$f --smoke >/dev/null || { echo "$$f --smoke fails"; exit 1; }; done

# What tests and benchmarks compare with, in environments of their own: their pins exclude one
# another's. Some 2 GB.
peers:
	$(PYTHON) -m venv .venv-peers && .venv-peers/bin/python -m pip --disable-pip-version-check install --quiet --requirement requirements-peers.txt
	$(PYTHON) -m venv .venv-mlserver && .venv-mlserver/bin/python -m pip --disable-pip-version-check install --quiet mlserver onnxruntime
	$(PYTHON) -m venv .venv-kserve && .venv-kserve/bin/python -m pip --disable-pip-version-check install --quiet kserve

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache edgewise-demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Exact versions of everything in .venv, for `pip install --constraint`.
.PHONY: constraints
constraints: $(VENV)/.dev
	$(PIP) list --format=freeze --exclude edgewise --exclude pip --exclude setuptools | LC_ALL=C sort -f > constraints.txt
