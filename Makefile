# Two commands need nothing but Python (3.11 or newer) and make:
#   make run    install, execute every lesson offline, show the results
#   make test   install, lint, type-check, run the tests and the notebooks
PYTHON ?= python3
VENV ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

# Modules are compiled when they are first used, and then kept: pip would compile all 14,000 that it
# installs, and without keeping them every lesson would compile its own again.
export PIP_NO_COMPILE := 1
unexport PYTHONDONTWRITEBYTECODE

# uv installs in half a minute what takes pip four. It does not read pip's settings: where it cannot
# be had, or the packages lie on a mirror that only pip knows of, pip does the work.
define install
$(PYTHON) -m venv $(VENV)
$(BIN)/python -m pip install --quiet uv \
&& $(BIN)/uv pip install --quiet --python $(BIN)/python --editable "$(1)" \
|| $(BIN)/python -m pip install --quiet --editable "$(1)"
endef

# Both commands install into the same folder.
.NOTPARALLEL:
.PHONY: run test lab notebooks site links slides teaching clean

run: $(VENV)/.installed
	$(BIN)/kdhelpers run

# A worker for each core, and so one thread for each worker.
test: export OMP_NUM_THREADS ?= 1
test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder --nbval-lax --nbval-current-env notebooks tests

# The lessons without their outputs, in learn/: nothing there is ever overwritten, nor seen by git.
lab: export KDHELPERS_DATA ?= $(CURDIR)/data
lab: $(VENV)/.installed
	$(BIN)/kdhelpers start learn
	$(BIN)/jupyter lab --ServerApp.root_dir=learn --LabApp.default_url=/lab/tree/notebooks/01_mnist_kd.ipynb

# Execute the lessons in place: the outputs that are committed.
notebooks: $(VENV)/.installed-test
	$(BIN)/python tools/refresh.py

# The course as pages for a browser, in build/site. The first build fetches ONNX Runtime Web for the
# page to draw on: it needs npm and the network (without them that page alone says that it cannot).
# Later builds, and the pages themselves, need neither.
site: $(VENV)/.installed-site
	$(BIN)/python tools/website.py

# Ask every address that the pages name whether it still answers.
links: $(VENV)/.installed-site
	$(BIN)/python tools/website.py --links

# Decks of the lessons and of the half day, in build/slides: build/slides/workshop.html.
slides: $(VENV)/.installed-site
	$(BIN)/python tools/slides.py

# For an instructor: the sheet to print, solutions, wrong answers with what the checks say.
teaching: $(VENV)/.installed-test
	$(BIN)/python tools/teaching.py

clean:
	rm -rf $(VENV)

$(VENV)/.installed: pyproject.toml
	$(call install,.[course])
	touch $@

$(VENV)/.installed-test: pyproject.toml
	$(call install,.[test])
	touch $@ $(VENV)/.installed

$(VENV)/.installed-site: pyproject.toml
	$(call install,.[site])
	touch $@ $(VENV)/.installed
