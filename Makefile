# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
STAMP := $(VENV)/.ready
WORKERS ?= 2

export FIFTYONE_DO_NOT_TRACK = true
export NO_ALBUMENTATIONS_UPDATE = 1
export RAY_USAGE_STATS_ENABLED = 0
export DO_NOT_TRACK = true
export HF_HUB_OFFLINE = 1

.PHONY: demo test lint recovery screenshots clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# Runs the main job on faces that it draws, and says where the report is.
demo: $(STAMP)
	$(VENV)/bin/curate run demo --out runs/demo

test: $(STAMP)
	$(VENV)/bin/python -m pytest -n $(WORKERS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

# Kills a run on real faces again and again; needs CURATE_REAL_DATA.
recovery: $(STAMP)
	$(VENV)/bin/python -m tests.recovery.real --kills 20

# Makes the pictures of the app in docs/ anew; needs Chromium, and FIFTYONE_DATABASE_URI for FiftyOne's.
screenshots: $(STAMP)
	$(VENV)/bin/python docs/screenshots.py

clean:
	rm -rf $(VENV) runs dist build
