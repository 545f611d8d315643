# What a person runs. Each target does all of its own set-up; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# rustup's own place, for shells that did not read its profile.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help build test campaign demo demo-down check screenshots bench clean toolchain

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

toolchain:
	@dev/toolchain

build: toolchain ## build everything
	cargo build --locked --workspace

test: toolchain ## start Docker, Kubernetes, an S3 server and a browser, then run every test
	@engines=$$(dev/up); eval "$$engines"; export SEAWORTHY_REQUIRE_ENGINES=1; set -x; \
	cargo build --locked --workspace; \
	cargo test --locked --workspace

campaign: toolchain ## run the tests against faults in whole scale, and report (CASES="F14 F42" for some)
	@engines=$$(dev/up); eval "$$engines"; export SEAWORTHY_REQUIRE_ENGINES=1; set -x; \
	cargo build --locked --workspace; \
	cargo test --locked --workspace --no-run; \
	target/debug/campaign $(CASES)

demo: toolchain ## start a whole installation with repositories, runs and deploys to look at
	@engines=$$(dev/up); eval "$$engines"; \
	cargo build --locked --workspace; \
	exec target/debug/demo up

demo-down: ## stop the demo, and Docker and Kubernetes with it
	@if [[ -x target/debug/demo ]]; then engines=$$(dev/docker env); eval "$$engines"; \
	KUBECONFIG=$$(dev/cluster kubeconfig) target/debug/demo down || true; fi; \
	dev/down

check: toolchain ## formatting and lints, as the continuous integration asks for them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v shellcheck >/dev/null; then set -x; \
	shellcheck -x .ci/run dev/lib.sh dev/docker dev/cluster dev/s3 dev/browser dev/up dev/down dev/toolchain; fi

screenshots: ## pictures of the running demo's pages, into target/screenshots
	@browser=$$(dev/browser); SEAWORTHY_TEST_BROWSER=$$browser target/debug/demo screenshots

bench: build ## measure latency, throughput and memory of a real server
	target/debug/seaworthy bench

clean: ## delete what cargo built (dev/docker down --purge deletes images)
	cargo clean
