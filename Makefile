# Everything sets itself up: a virtual environment, the package with its constraints, then the work.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JAX_VENV := .venv-jax
TRACKING_VENV := .venv-tracking
# Not --quiet: it would keep --strict from seeing warnings.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.DELETE_ON_ERROR:
.PHONY: demo test test-full test-survival test-attack test-jax test-tracking test-cluster chromium strace nginx slurm check wheel docs bench clean

demo: $(STAMP)
	@$(BIN)/penlight demo

# One thread in each process, and a process more than there are cores, as some tests wait for a server or a clock.
WORKERS := $$(( $$(getconf _NPROCESSORS_ONLN) + 1 ))
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
# Processes are forks of one that has collected (tests/forked.py). Files are given out whole, longest first, as
# tests/schedule.py says: what they share would else be made twice. What pytest rewrites is kept, also where Python is
# told to keep nothing.
PYTEST := PYTHONDONTWRITEBYTECODE= $(ONE_THREAD) $(BIN)/python -m pytest --workers $(WORKERS)

test: $(STAMP) chromium strace nginx
	@$(PYTEST) -m "not full and not survival and not attack and not cluster"

test-full: $(STAMP) chromium strace nginx
	@$(PYTEST) -m "not survival and not attack and not cluster"

# Commands killed at twenty points each, and given again.
test-survival: $(STAMP)
	@$(PYTEST) -m survival tests/survival

# Attacks in full, for an hour and more: 30,000 pictures, 20,000 requests, 200 kills; what was tried is counted at the end.
test-attack: $(STAMP) strace
	@$(PYTEST) -m attack tests/attack

# Studies on a Slurm cluster of one node, which the tests start: workers are killed, jobs cancelled, the controller ended.
# PENLIGHT_CLUSTER_TRIES=10 tries each of these ten times; the run that is longer than its time limit takes five minutes:
# make test-cluster CLUSTER=cluster
CLUSTER := cluster and not full
test-cluster: $(STAMP) slurm
	@PYTHONDONTWRITEBYTECODE= $(ONE_THREAD) $(BIN)/python -m pytest -m "$(CLUSTER)" tests/cluster -rs

# The same suite with JAX in the place of TensorFlow, which is not installed there. Compiled programs are kept: XLA makes
# most of them several times.
test-jax: $(JAX_VENV)/.installed chromium strace nginx
	@KERAS_BACKEND=jax PYTHONDONTWRITEBYTECODE= $(ONE_THREAD) XLA_FLAGS=--xla_cpu_multi_thread_eigen=false \
	  JAX_COMPILATION_CACHE_DIR=$(CURDIR)/$(JAX_VENV)/compiled JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0.2 \
	  $(JAX_VENV)/bin/python -m pytest --workers $(WORKERS) -m "not full and not survival and not attack and not cluster" -rs

# Runs are sent to MLflow, to a server of this machine and a database, and its own client reads back what it got. Its
# packages lie in an environment of their own, on top of that of make: what MLflow needs must change nothing of the rest.
test-tracking: $(TRACKING_VENV)/.installed strace
	@PENLIGHT_TRACKING=1 PYTHONDONTWRITEBYTECODE= $(ONE_THREAD) $(TRACKING_VENV)/bin/python -m pytest tests/tracking/test_stores.py

$(TRACKING_VENV)/.installed: $(STAMP)
	@echo "Setting up $(@D)."
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	  echo "import site; site.addsitedir('$$($(BIN)/python -c "$$site")')" > "$$($(@D)/bin/python -c "$$site")/of_make.pth"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'penlight[mlflow,tensorboard]' \
	  aiohttp flask flask-cors graphene huey
	@touch $@

# The pages are tested in a browser, and what it prints is read. Both are installed where that can be done, and else said to be missing.
chromium:
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null && command -v pdftotext >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing Chromium, which the tests of pages need." && \
	  install="apt-get install -y -qq chromium poppler-utils" && \
	  { $$install >/dev/null 2>&1 || { apt-get update -qq && $$install >/dev/null; }; }; } || \
	  echo "Chromium or pdftotext is missing; the tests of pages are skipped, in CI they fail. Install them: apt-get install chromium poppler-utils"

# What processes ask of the system is seen by strace. Installed where that can be done, and else said to be missing.
strace:
	@command -v strace >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing strace, which the tests of telemetry need." && \
	  { apt-get install -y -qq strace >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq strace >/dev/null; }; }; } || \
	  echo "strace is missing; the tests of telemetry are skipped, in CI they fail. Install it: apt-get install strace"

# Slurm, with munge, which signs its messages. Debian would start both, which nobody asked for: not in runlevel 1.
slurm:
	@{ command -v slurmctld || test -x /usr/sbin/slurmctld; } >/dev/null && { command -v munged || test -x /usr/sbin/munged; } >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing Slurm, which the tests of clusters need." && \
	  install="env RUNLEVEL=1 apt-get install -y -qq slurm-wlm munge" && \
	  { $$install >/dev/null 2>&1 || { apt-get update -qq && $$install >/dev/null; }; }; } || \
	  echo "Slurm is missing; the tests of clusters are skipped, in CI they fail. Install it: apt-get install slurm-wlm munge"

# The manual's site for nginx is tested with nginx. Debian would start it at port 80, which nobody asked for: not in runlevel 1.
nginx:
	@{ command -v nginx || test -x /usr/sbin/nginx; } >/dev/null && command -v openssl >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing nginx, which the tests of the manual's site need." && \
	  install="env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nginx-light openssl" && \
	  { $$install >/dev/null 2>&1 || { apt-get update -qq && $$install >/dev/null; }; }; } || \
	  echo "nginx is missing; the tests of the manual's site are skipped, in CI they fail. Install it: apt-get install nginx-light openssl"

check: $(STAMP)
	@$(BIN)/ruff check src tests benchmarks docs
	@$(BIN)/ruff format --check src tests benchmarks docs
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MKDOCS)

# The wheel as others install it: built from the tracked files, into an empty environment outside the checkout, and the demo
# from there. Without --no-build-isolation a missing build requirement would show.
WHEEL := $(CURDIR)/build/wheel
wheel:
	@rm -rf $(WHEEL) && mkdir -p $(WHEEL)/empty
	@git archive --prefix=source/ HEAD | tar -x -C $(WHEEL)
	@$(PYTHON) -m venv $(WHEEL)/venv
	@$(WHEEL)/venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w $(WHEEL)/dist $(WHEEL)/source
	@set -- $(WHEEL)/dist/penlight-*.whl; \
	  $(WHEEL)/venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$$1[train]"
	@cd $(WHEEL)/empty && env -u PYTHONPATH $(WHEEL)/venv/bin/penlight demo

# The reference pages are written from the code, then the manual is built, in build/site.
docs: $(STAMP)
	@$(BIN)/python docs/_reference.py
	@$(MKDOCS)

# One table per file; files that begin with an underscore are shared. The simulation of coverage takes six minutes of
# processor time and measures no speed: it is run by hand.
bench: $(STAMP)
	@for file in $(filter-out benchmarks/_% benchmarks/coverage.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$file || exit 1; done

# By hashes where the lock was made for this Python and system, else by versions alone; LOCK= asks for versions.
LOCK := requirements.lock
FITS := import platform as p, sys; sys.exit((p.python_implementation(), sys.version_info[:2], sys.platform, p.machine()) \
  != ("CPython", (3, 11), "linux", "x86_64"))

$(STAMP): EXTRAS := dev
$(JAX_VENV)/.installed: EXTRAS := jax,test
$(STAMP) $(JAX_VENV)/.installed: pyproject.toml constraints.txt requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Penlight needs Python 3.11 or newer; give one as PYTHON=...")'
	@echo "Setting up $(@D); this takes a few minutes the first time."
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@pip="$(@D)/bin/python -m pip install --quiet --disable-pip-version-check"; \
	if test "$(EXTRAS)" = dev && test -n "$(LOCK)" && $(@D)/bin/python -c '$(FITS)'; then \
	  $$pip --require-hashes -r $(LOCK) && $$pip --no-deps --no-build-isolation -e .; \
	else \
	  echo "Installing by constraints.txt, without hashes: requirements.lock is for make's own environment on CPython 3.11, Linux, x86_64."; \
	  $$pip -c constraints.txt -e '.[$(EXTRAS)]'; \
	fi
	@touch $@

clean:
	rm -rf $(VENV) $(JAX_VENV) $(TRACKING_VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
