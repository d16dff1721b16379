# make demo    build, mount and materialize a demo library, and show them
# make install     the program for this host, its man page and completion: /opt/vod2strmfs, /usr/local; needs root
# make uninstall   takes that away; settings, state and libraries stay
# make test    all tests, with a real PostgreSQL and real mounts; up to three that fail, once more alone; needs root
# make test-fast   the tests that start no mount, no server and no other process: 2 to 4 minutes, for anyone
# make soak    the long forms of the tests that have one: within 45 minutes (see docs/reliability.md); needs root
# make kodi    what a real Kodi, headless, makes of a library, and players and other programs of films: not in CI, within
#              15 minutes
# make lint    ruff, mypy, import-linter
# make lock    the exact versions of what testing needs, after a change of the dependencies; those that there are stay,
#              but for PACKAGE with UPGRADE="--upgrade-package PACKAGE", or all with UPGRADE=--upgrade
# make docs    the documents as a site, in build/site; a link that leads nowhere is an error
# make release     wheel, sdist, plugin, image where a container engine is, checksums and notes, in dist/; publishes nothing
# make plugin  the plugin for Dispatcharr as a zip, in dist/, and its entry for a plugin repository
# make bench   what it costs, as ratios against bindfs, mergerfs, rclone, \copy, cp and find (see docs/performance.md)
# make clean   takes away what all of these have made in this folder, also while a demo is mounted
# make help    this list
# Each sets up what it needs: system packages, a virtual environment, the project.

PYTHON ?= python3
BIN := .venv/bin
VENV ?= /opt/vod2strmfs
PREFIX ?= /usr/local
export PYTHON VENV PREFIX
# Some containers set it. Each of the thousands of processes of the tests would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo help install uninstall test test-fast soak kodi lint lock docs plugin release bench format clean

demo:
	@scripts/demo.sh about
	@scripts/setup.sh
	@scripts/demo.sh

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

install uninstall:
	@scripts/install.sh $@

test:
	@scripts/setup.sh test
	scripts/test.sh $(PYTEST_ARGS)

test-fast:
	@scripts/setup.sh dev
	$(BIN)/pytest --fast $(PYTEST_ARGS)

soak:
	@scripts/setup.sh test
	timeout --foreground --signal INT 45m $(BIN)/pytest --soak $(PYTEST_ARGS)

kodi:
	@scripts/setup.sh kodi
	$(BIN)/pytest --kodi $(PYTEST_ARGS)

lint:
	@scripts/setup.sh dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:
	@scripts/setup.sh dev
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --strip-extras --no-emit-index-url \
		--custom-compile-command "make lock" $(UPGRADE) --group dev --output-file requirements-dev.lock pyproject.toml

docs:
	@scripts/setup.sh dev
	$(BIN)/sphinx-build -EaW --keep-going -q docs build/site
	@echo "The site begins at $(CURDIR)/build/site/index.html"

plugin:
	@scripts/setup.sh dev
	$(BIN)/python scripts/build_plugin.py $(if $(ROOT_URL),--root-url $(ROOT_URL))

release:
	@scripts/setup.sh dev
	$(BIN)/python scripts/release.py

bench:
	@scripts/setup.sh bench
	PYTHONPATH=tests/support $(BIN)/python -m bench $(PARTS)

format:
	@scripts/setup.sh dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	@scripts/demo.sh unmount
	rm -rf .venv .demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
