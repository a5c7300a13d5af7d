# The two commands of the README are `make demo` and `make test`; each does its own set-up on a Debian machine with Rust,
# Python 3, Node and a C toolchain. `CARGO_TARGET_DIR` moves the build folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
BOXWOOD := $(TARGET)/debug/boxwood
# Arguments of `boxwood demo`, for example: make demo ARGS="--minutes 2 --fresh"
ARGS ?=
# A solver outside the workspace, which must keep compiling and passing.
EXAMPLE := examples/new-solver/Cargo.toml
# Seeds of `make bench`.
SEEDS ?= 10
DENY_VERSION := 0.20.2
export CARGO_TERM_COLOR ?= auto

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | column -t -s "$$(printf '\t')"

.PHONY: build
build: ## Build the boxwood binary
	$(CARGO) build -p boxwood

.PHONY: demo
demo: build ## Tune four models on real ratings: server, two workers, live progress (ARGS="--minutes 3 --fresh")
	$(BOXWOOD) demo $(ARGS)

.PHONY: setup-test
setup-test:
	scripts/setup-test

.PHONY: test
test: setup-test ## Run every test: formatting, lints, dependency rules, all crates, PostgreSQL, the real binary
	$(CARGO) fmt --all --check
	$(CARGO) run -q -p boxwood-xtask -- check-deps
	BOXWOOD_REQUIRE_POSTGRES=1 $(CARGO) test --workspace --no-fail-fast
	$(CARGO) test --locked --manifest-path $(EXAMPLE) --target-dir $(TARGET)/new-solver

.PHONY: lint
lint: ## Clippy with warnings as errors, documentation warnings, denied dependencies
	$(CARGO) fmt --all --check
	$(CARGO) run -q -p boxwood-xtask -- check-deps
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --manifest-path $(EXAMPLE) --target-dir $(TARGET)/new-solver --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps
	$(MAKE) deny

.PHONY: deny
deny: ## Check licences, banned crates and sources of every dependency (installs cargo-deny once)
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --version $(DENY_VERSION) --locked
	$(CARGO) deny check bans licenses sources

.PHONY: audit
audit: ## Check the dependencies for known vulnerabilities (needs the advisory database from the network)
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --version $(DENY_VERSION) --locked
	$(CARGO) deny check advisories

# Where `make bench-all` finds tables of recorded runs; suites name what they miss without them.
DATA ?=
SINGLE := random,sobol,tpe,forest,cma_es,bo
WIDE := random,tpe,forest,turbo,cma_es,bo
SMALL := random,tpe,forest,bo
FRONTS := random,sobol,tpe,evolution,bo
FIDELITY := random,hyperband,bohb,mfes,asha_delayed,mfes_async
# Problems with many workers at once; the second only with tables.
CROWD := noisy_hartmann6,mf_currin,mf_branin
CROWD_TABLES := ,lcbench_189906
TABLES = $(if $(DATA),--data $(DATA))
SUITE = $(BOXWOOD) bench solvers --seeds $(SEEDS) --suite
ABLATE = $(BOXWOOD) bench solvers --seeds $(SEEDS) --first-seed 101 --suite
PRODUCT := mfes_async:combination=product_of_experts:rung_model=

.PHONY: bench
bench: build ## Measure the service, and the solvers on the public problems; writes docs/benchmarks.md (SEEDS=10)
	$(BOXWOOD) bench service --seconds 10
	mkdir -p docs/benchmarks
	$(BOXWOOD) bench solvers --suite public --solver $(SINGLE) --seeds $(SEEDS) --problem branin2,hartmann6,ackley5,mixed8,cond4,branincurrin,zdt1_6,townsend,branin_disc --json-file docs/benchmarks/public.json
	$(BOXWOOD) bench solvers --suite public --solver $(FIDELITY) --seeds $(SEEDS) --problem mfh3_moderate,counting_ones --json-file docs/benchmarks/fidelity.json
	$(BOXWOOD) bench solvers --solver random,tpe,forest,bo --latency 50,200,1000,5000,10000 --json-file docs/benchmarks/latency.json
	scripts/bench-docs

.PHONY: bench-all
bench-all: bench ## Every suite, for hours (SEEDS=10 DATA=folder of tables)
	$(SUITE) single --solver $(SINGLE),evolution,turbo --json-file docs/benchmarks/single.json
	$(SUITE) constrained --solver random,tpe,forest,turbo,bo --json-file docs/benchmarks/constrained.json
	$(SUITE) multi --solver $(FRONTS) --json-file docs/benchmarks/multi.json
	$(SUITE) noisy --solver random,tpe,forest,cma_es,bo --json-file docs/benchmarks/noisy.json
	$(SUITE) highdim --solver $(WIDE) --json-file docs/benchmarks/highdim.json
	$(SUITE) parallel --solver $(SMALL) --json-file docs/benchmarks/parallel.json
	$(SUITE) bbob --solver $(SINGLE) --json-file docs/benchmarks/bbob.json
	$(SUITE) multifidelity --solver random,bohb,asha_delayed,mfes_async,bo --target-of bohb $(TABLES) --json-file docs/benchmarks/multifidelity.json
	for workers in 8 64 256; do \
		$(SUITE) multifidelity --problem $(CROWD)$(if $(DATA),$(CROWD_TABLES)) $(TABLES) --solver random,asha,asha_delayed,mfes_async,bo --workers $$workers --full-runs $$((2 * workers)) --target-of random --json-file docs/benchmarks/multifidelity-$$workers.json; done
	$(SUITE) cash --solver random,forest,bo,rising_bandit,rising_bandit:allocation=turns:slack=0:window=7 --target-of forest $(TABLES) --json-file docs/benchmarks/cash.json
	$(if $(DATA),$(SUITE) tables --solver $(SMALL) $(TABLES) --json-file docs/benchmarks/tables.json)
	$(SUITE) transfer --solver bo,transfer $(TABLES) --json-file docs/benchmarks/transfer.json
	$(MAKE) bench-ablations

.PHONY: bench-ablations
bench-ablations: build ## What parts of the solvers are worth, on seeds that nothing was chosen on; writes docs/benchmarks.md
	$(ABLATE) single --solver bo,bo:warp_losses=off,bo:warp_inputs=off,bo:priors=wide,turbo --json-file docs/benchmarks/ablation-process.json
	$(ABLATE) multifidelity --problem mfh3_moderate,mf_branin,mf_currin,saturating_curves,noisy_hartmann6 --solver asha,asha_delayed,mfes_async,$(PRODUCT)process,$(PRODUCT)forest,mfes_async:combination=independent_sum --json-file docs/benchmarks/ablation-rungs.json
	scripts/bench-docs

.PHONY: test-kill
test-kill: setup-test ## The slow lane: 50 rounds of kill -9 on both stores
	BOXWOOD_REQUIRE_POSTGRES=1 BOXWOOD_KILL_ROUNDS=50 $(CARGO) test -p boxwood --test kill -- --nocapture

.PHONY: check-cuda
check-cuda: ## Compile the CUDA path (needs the network once, or an LLVM 23 bundle; no CUDA toolkit)
	scripts/check-cuda

.PHONY: docs
docs: ## Build the API documentation of all crates
	$(CARGO) doc --workspace --no-deps
