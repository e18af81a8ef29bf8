# multiclaude-hybrid. Each target is one line to remember; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
SOURCES := $(shell find src crates/protocol/src crates/core/src -name '*.rs') Cargo.toml Cargo.lock crates/protocol/Cargo.toml crates/core/Cargo.toml

# The document is made from these; the page beside it shows it.
DOCUMENT := $(shell find crates/openapi/src crates/protocol/src -type f) crates/openapi/Cargo.toml crates/protocol/Cargo.toml Cargo.lock
ASSETS := build/assets/openapi.json $(addprefix build/assets/docs/,index.html page.js reference.js)

.PHONY: help setup wasm dev test test-claude contract lint bench size soak token install bare clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*##/ { printf "%-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What the target asks of the machine: a column of scripts/prerequisites.
NEEDS = dev
lint: NEEDS = lint
test test-claude contract soak: NEEDS = test

setup: ## Check the machine, then install the pinned tools, once
	@scripts/setup $(NEEDS)

# Written last: a build that was interrupted is not complete.
build/complete: $(SOURCES)
	@scripts/build

build/assets/openapi.json: $(DOCUMENT)
	@mkdir -p $(@D)
	@. scripts/tools && cargo run --quiet --locked -p multiclaude-hybrid-openapi >build/openapi.json && mv build/openapi.json $@

build/assets/docs/reference.js: scripts/tools
	@mkdir -p $(@D)
	@. scripts/tools && cp "$$MCH_SCALAR_DIR/standalone.js" $@

build/assets/docs/%: reference/%
	@mkdir -p $(@D)
	@cp $< $@

wasm: build/complete $(ASSETS) ## Build the coordinator (WebAssembly) and its reference

dev: setup wasm ## Run the coordinator here; print URL, tokens and a first call (PORT=8787)
	@. scripts/tools && exec node --disable-warning=ExperimentalWarning scripts/dev.mjs

test: setup wasm ## Run every test, but for those with the real Claude Code and the slow ones
	@. scripts/tools && cargo build --locked -p multiclaude-hybrid # what the end-to-end tests run
	@# End-to-end tests wait more than they compute.
	@. scripts/tools && RUST_TEST_THREADS=3 cargo test --workspace --exclude coordinator && cargo test -p coordinator --lib
	@$(MAKE) --no-print-directory contract

test-claude: setup wasm ## Test the last hop into the real Claude Code (CLAUDE=program, or VERSIONS="2.1.332 2.1.197" from npm)
	@. scripts/tools && cargo build --locked -p multiclaude-hybrid && cargo build --locked -p e2e --bins
	@. scripts/tools && scripts/test-claude

contract: setup wasm ## Check the running coordinator against the OpenAPI document (SEED=n)
	@. scripts/tools && node scripts/contract.mjs

lint: setup ## Check formatting, imports, clippy and docs; warnings are errors
	@scripts/check readme
	@python3 scripts/cycles.py
	@. scripts/tools && cargo fmt --all --check
	@. scripts/tools && cargo clippy --workspace --all-targets -- -D warnings
	@. scripts/tools && cargo clippy -p coordinator --target wasm32-unknown-unknown -- -D warnings
	@. scripts/tools && RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib -p multiclaude-hybrid-client -p multiclaude-hybrid-protocol -p multiclaude-hybrid

bench: setup wasm ## Measure the coordinator beside a reference Worker, the command line, and two bridges
	@cargo build --quiet --locked --profile native -p multiclaude-hybrid
	@cargo build --quiet --locked -p e2e --bin claude-stand-in
	@. scripts/tools && node bench/run.mjs

size: wasm ## Print the size of the WebAssembly
	@. scripts/tools && node bench/size.mjs

soak: setup wasm ## Run the slow tests: more kills, more cases
	@. scripts/tools && PROPTEST_CASES=50000 cargo test --release -p multiclaude-hybrid-core -p multiclaude-hybrid-protocol
	@. scripts/tools && cargo build --locked -p multiclaude-hybrid && SOAK=1 cargo test -p e2e --test e2e
	@SOAK=1 $(MAKE) --no-print-directory contract

install: ## Install the command line (PREFIX=~/.local)
	@scripts/install

bare: ## Run the two commands in a bare Debian root (as root, with debootstrap)
	@scripts/bare

token: setup ## Print a new admin token, for the secret ADMIN_TOKEN
	@. scripts/tools && node scripts/token.mjs

clean: ## Remove what was built
	@rm -rf build target node_modules .wrangler
