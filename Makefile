# opd: 'make run' and 'make test' do all they need from a clean clone.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SWIFT  ?= swift
CONFIG ?= Examples/arithmetic.yaml
ARGS   ?=
OPD    := .build/release/opd

.PHONY: help setup build run smollm2 test test-servers test-torch test-templates test-slurm test-ssh test-stores test-network test-watch lint fuzz sanitize chaos soak models pretrain bench growth study clean

help: ## Say what there is.
	@sed -nE 's/^([a-z0-9-]+):.*## /\1 /p' $(MAKEFILE_LIST) | \
		while read -r target what; do printf '  make %-12s  %s\n' "$$target" "$$what"; done

setup: ## Install the system libraries that are missing (Debian, Ubuntu).
	@scripts/setup.sh

# SwiftPM says how far it is, but not that this is long. What 'make test' builds goes on from this.
build: setup ## Build the release binary.
	@[ -e $(OPD) ] || echo "building opd: three to seven minutes the first time on two cores"
	$(SWIFT) build -c release --product opd

# A second 'make run' begins anew and keeps what the first one made; ARGS=--resume goes on.
run: build ## Distil the teacher in the repository into a small student: two minutes with AVX-512 and bf16 (CONFIG=..., ARGS=...).
	$(OPD) run $(CONFIG) $(if $(filter --resume --again,$(ARGS)),,--again) $(ARGS)

smollm2: build models ## Distil a damaged SmolLM2-135M back from its teacher: six minutes (ARGS=...).
	$(OPD) run Examples/smollm2.yaml $(ARGS)

# The release build is tested, with the modules of 'make build' as they are: tests import nothing as testable, and
# without this flag every module would be compiled again with another one.
TEST := $(SWIFT) test -c release --disable-testable-imports
# Tests that wait for others' turns: of sockets, pipelines, children and pages.
WAITING := TransportTests|SupervisionTests|PipelineTests|PageServerTests|WatchTests

# One after the other: numerics would keep pipelines from their turn, and these what steers processes. The last line
# printed is the test runner's own. Without network the tests that need SmolLM2 are skipped.
test: build ## Run all tests on the release build, with real models and processes.
	@scripts/models.sh $(OPD) || echo "warning: tests that need SmolLM2 are skipped" >&2
	$(TEST) --skip '^($(WAITING)|EndToEndTests)\.'
	$(TEST) --skip-build --filter '^($(WAITING))\.'
	$(TEST) --skip-build --filter '^EndToEndTests\.'

test-servers: build ## Distil with a real vLLM server as teacher and as sampler (installs its CPU build; WHAT="teacher weights adapters family").
	@scripts/servers/test.sh $(OPD) $(WHAT)

test-torch: build ## Test the torch engine on CPUs, in an environment of its own (.venv-torch): under ten minutes.
	@scripts/torch/test.sh $(OPD)

test-templates: build ## Compare chat templates with transformers: all of TRL's wheel, which is fetched into .build-templates.
	@scripts/templates/test.sh $(OPD)

test-slurm: build ## Run, grow, preempt and cancel jobs on a real Slurm of this machine's own (installs it; under ten minutes).
	@cluster/slurm/test.sh $(OPD)

test-ssh: build ## Place, grow, shrink and end a run over a real sshd in network namespaces (installs it; root; three minutes).
	@cluster/ssh/test.sh $(OPD)

test-stores: build ## Copy checkpoints over ssh and to a store of objects, and go on from there (installs sshd, rsync and moto).
	@scripts/stores/test.sh $(OPD)

test-network: build ## Run over bad networks: loss, delay, another MTU, IPv6, a changed address (root, iproute2 and TUN devices; two minutes).
	@scripts/network/test.sh $(OPD)

test-watch: build ## Drive the live page with a headless Chromium on a made-up run of 100,000 steps; time and memory (installs it and dygraphs).
	@command -v chromium >/dev/null || scripts/apt.sh chromium
	@[ -e /usr/share/javascript/dygraphs ] || scripts/apt.sh libjs-dygraphs
	python3 scripts/watch/large.py $(OPD)

lint: ## Check Swift, scripts, Python, manifests and units (installs shellcheck, ruff, mypy and kubernetes-validate).
	$(SWIFT) format lint --strict -r Sources Tests Fuzz Package.swift
	@scripts/lint.sh

fuzz: setup ## Fuzz the readers of files and messages, FUZZ_SECONDS each (TARGETS="gguf wire"); fail on any finding.
	OPD_FUZZ=1 $(SWIFT) build -c release --scratch-path .build-fuzz --product opd-fuzz --sanitize=fuzzer \
		-Xswiftc -sanitize=fuzzer,address -Xcc -fsanitize=fuzzer-no-link,address
	@scripts/fuzz.sh .build-fuzz/release/opd-fuzz $(TARGETS)

sanitize: setup ## Run the tests under AddressSanitizer and ThreadSanitizer (QUICK=1: messages and sockets, ThreadSanitizer).
	@scripts/sanitize.sh $(if $(QUICK),quick)

models: build ## Get SmolLM2-135M-Instruct and make the damaged student.
	scripts/models.sh $(OPD)

pretrain: build ## Make the models of the quick start again, from random weights (5 minutes).
	scripts/pretrain.sh $(OPD)

bench: build models ## Measure everything beside the machine's limits (PEERS_PYTHON=... beside peers too).
	@scripts/bench.sh $(OPD) models

growth: build models ## Measure how speed and memory grow, and draw it (PEERS_PYTHON=... with matplotlib; WHAT="speed steps plot").
	$${PEERS_PYTHON:-python3} scripts/growth.py $(OPD) models $(WHAT)

study: build ## Repeat docs/study.md: what on-policy distillation is worth on small models (WHAT="1 2 3 4 5 6a 6b 7 8 9 10 report", SEEDS="1 2 3").
	$${PEERS_PYTHON:-python3} scripts/study/study.py $(OPD) $(WHAT) $(if $(SEEDS),--seeds $(SEEDS))

FAULTS  ?= 200
SEED    ?= 1
MINUTES ?= 60

chaos: build ## Kill, suspend, cut, fill and corrupt a run until it has survived FAULTS=200 faults, then more: with keys, adapters, off-policy, servers, a relay, a standby, torch (SEED=...).
	python3 scripts/reliability/chaos.py $(OPD) --faults $(FAULTS) --seed $(SEED)
	python3 scripts/reliability/chaos.py $(OPD) --faults $(FAULTS) --seed $(SEED) --staleness 2 --keys
	python3 scripts/reliability/chaos.py $(OPD) --faults $(FAULTS) --seed $(SEED) --kind adapters
	python3 scripts/reliability/chaos.py $(OPD) --faults $(FAULTS) --seed $(SEED) --kind off_policy
	python3 scripts/reliability/chaos.py $(OPD) --faults $(FAULTS) --seed $(SEED) --kind teacher_server
	python3 scripts/reliability/chaos.py $(OPD) --faults $(FAULTS) --seed $(SEED) --kind sampler_server
	python3 scripts/reliability/chaos.py $(OPD) --faults $(FAULTS) --seed $(SEED) --kind relay
	python3 scripts/reliability/chaos.py $(OPD) --faults $$(( ($(FAULTS) + 4) / 5 )) --seed $(SEED) --kind standby
	@scripts/torch/install.sh || { [ $$? -eq 3 ] && echo "no run of torch is disturbed" >&2 && exit; }; \
		python3 scripts/reliability/chaos_torch.py $(OPD) .venv-torch/bin/python --seed $(SEED)

soak: build ## Run a small pipeline with churn for MINUTES=60 and check that no process grows.
	python3 scripts/reliability/soak.py $(OPD) --minutes $(MINUTES) --seed $(SEED)

clean: ## Remove what was built; models and runs stay.
	rm -rf .build .build-fuzz .build-asan .build-tsan .build-servers .build-templates
