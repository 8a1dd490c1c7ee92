# make demo: everything from nothing to two answered head CTs.   make test: everything from nothing to passed tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= config.toml
# Tests run in so many processes, each file in one of them.
JOBS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))
CT_ICH ?= ../shared/data/ct_ich
DEBIAN := dcmtk orthanc orthanc-dicomweb libpixelmed-java default-jdk-headless chromium systemd bubblewrap prometheus postgresql iproute2
# Helm as a library, Apache-2.0. Its Python part wants 3.12; the tests call the library itself.
HELM := build/helm

.PHONY: help demo serve test lint bench soak docs sbom pictures train interop-deps clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(VENV)/.node: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[lab]'
	touch $@

$(VENV)/.test: $(VENV)/.node
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[lab,test,lint]'
	touch $@

demo: $(VENV)/.node  ## send two synthetic head CTs through a node and show what comes back
	$(BIN)/python -m ichnode_training.demo

serve: $(VENV)/.node  ## run a node with config.toml
	$(BIN)/ichnode serve --config $(CONFIG)

test: $(VENV)/.test  ## all tests; those that need DCMTK, Orthanc, PixelMed, or Chromium and npm are skipped where these are missing
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --cache-clear --numprocesses $(JOBS) --dist loadfile $(ARGS) \
	|| { test $$? -eq 1 && $(BIN)/python -m tests.unsteady; }

lint: $(VENV)/.test  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test  ## measure beside DCMTK and Orthanc; writes benchmarks/latest.json and a plot of it
	$(BIN)/python -m benchmarks $(ARGS)

soak: $(VENV)/.test  ## a day of a busy hospital in 40 minutes, with everything that goes wrong; writes build/soak.html
	$(BIN)/python -m benchmarks.soak $(ARGS)

docs: $(VENV)/.test  ## write the generated documents anew
	$(BIN)/python -m tests.generated

sbom: $(VENV)/.test  ## write the bill of materials (CycloneDX) and the list of licences anew
	$(BIN)/python -m tests.generated docs/papers/sbom.cdx.json docs/papers/licences.md

pictures: $(VENV)/.test  ## take the documentation's pictures anew, in OHIF and of the pages; needs what `make interop-deps` installs, and npm
	ICHNODE_REQUIRE_COMPONENTS=1 $(BIN)/python -m pytest tests/browser tests/web/pages/test_looks.py
	$(BIN)/python -m tests.browser.pictures
	$(BIN)/python -m ichnode_training.phantom_picture docs/pictures/phantoms.png
	$(BIN)/python -m tests.web.pages.pictures

train: $(VENV)/.test  ## train the shipped model anew and cross-validate it (minutes on a GPU, most of a day on two cores)
	$(BIN)/python -m ichnode_training import ct-ich $(CT_ICH) --into build/ct-ich
	OMP_WAIT_POLICY=passive $(BIN)/python -m ichnode_training first build/ct-ich --into ichnode/inference/bundles/default --scores training/shipped-scores.npz --device auto
	$(BIN)/python -m ichnode_training card ichnode/inference/bundles/default --into docs/model-card.md

interop-deps:  ## Debian packages of the peers and validators that tests and benchmarks use
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBIAN)
	test -d $(HELM) || $(PYTHON) -m pip install --quiet --no-deps --ignore-requires-python --target $(HELM) helm-sdkpy==0.1.32

clean:  ## remove what make made
	rm -rf $(VENV) demo build *.egg-info
