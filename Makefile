# opd: 'make run' and 'make test' do all they need from a clean clone.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SWIFT  ?= swift
CONFIG ?= Examples/smollm2.yaml
ARGS   ?=
OPD    := .build/release/opd

.PHONY: help setup build run test lint fuzz sanitize chaos soak models pretrain bench growth clean

help: ## Say what there is.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

setup: ## Install the system libraries that are missing (Debian, Ubuntu).
	@scripts/setup.sh

build: setup ## Build the release binary.
	$(SWIFT) build -c release --product opd

run: build models ## Distil the damaged SmolLM2 back from its teacher (CONFIG=..., ARGS=...).
	$(OPD) run $(CONFIG) $(ARGS)

# The last line printed is the test runner's own. Without network the tests that need SmolLM2 are skipped.
test: build ## Run all tests, with real models and processes.
	@scripts/models.sh $(OPD) || echo "warning: tests that need SmolLM2 are skipped" >&2
	$(SWIFT) test

lint: ## Check the format of all Swift files.
	$(SWIFT) format lint --strict -r Sources Tests Fuzz Package.swift

fuzz: setup ## Fuzz the readers of files and messages, FUZZ_SECONDS each (TARGETS="gguf wire"); fail on any finding.
	OPD_FUZZ=1 $(SWIFT) build -c release --scratch-path .build-fuzz --product opd-fuzz --sanitize=fuzzer \
		-Xswiftc -sanitize=fuzzer,address -Xcc -fsanitize=fuzzer-no-link,address -Xswiftc -enable-testing
	@scripts/fuzz.sh .build-fuzz/release/opd-fuzz $(TARGETS)

sanitize: setup ## Run the tests under AddressSanitizer and ThreadSanitizer.
	@scripts/sanitize.sh

models: build ## Get SmolLM2-135M-Instruct and make the damaged student.
	scripts/models.sh $(OPD)

pretrain: build ## Make the models of the quick start again, from random weights (5 minutes).
	scripts/pretrain.sh $(OPD)

bench: build models ## Measure everything beside the machine's limits (PEERS_PYTHON=... beside peers too).
	@scripts/bench.sh $(OPD) models

growth: build models ## Measure how speed and memory grow, and draw it (PEERS_PYTHON=... with matplotlib; WHAT="speed steps plot").
	$${PEERS_PYTHON:-python3} scripts/growth.py $(OPD) models $(WHAT)

FAULTS  ?= 200
SEED    ?= 1
MINUTES ?= 60

chaos: build ## Kill, suspend, cut, fill and corrupt a run until it has survived FAULTS=200 faults, then one with keys (SEED=...).
	python3 scripts/reliability/chaos.py $(OPD) --faults $(FAULTS) --seed $(SEED)
	python3 scripts/reliability/chaos.py $(OPD) --faults $(FAULTS) --seed $(SEED) --staleness 2 --keys

soak: build ## Run a small pipeline with churn for MINUTES=60 and check that no process grows.
	python3 scripts/reliability/soak.py $(OPD) --minutes $(MINUTES) --seed $(SEED)

clean: ## Remove what was built; models and runs stay.
	rm -rf .build .build-fuzz .build-asan .build-tsan
