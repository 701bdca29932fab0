# The verbs of this project. Each works in a fresh clone: what it needs is set up first.
SHELL := bash
.DEFAULT_GOAL := help
PY := .venv/bin/python

.PHONY: help setup demo test check bench test-cluster test-faults test-agents crds proto format lock

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

setup: ## make .venv from requirements.lock; .venv/bin/agentsmesh is the program
	@scripts/setup

demo: setup ## a whole mesh on this machine with two agents (ONCE=1: stop again afterwards)
	@$(PY) -m scripts.demo $(if $(filter-out 0,$(ONCE)),--once)

test: setup ## all tests but those of test-cluster, test-faults and test-agents
	@scripts/test

check: setup ## format, lint, types, import contracts, generated files, lock
	@scripts/check

bench: setup ## how fast, against the floor and against tmux
	@$(PY) -m bench $(ARGS)

test-cluster: setup ## the tests against a real API server (KUBEBUILDER_ASSETS)
	@scripts/test cluster

test-faults: setup ## the long runs: processes killed at each step and at random
	@scripts/test faults

test-agents: setup ## the agents' own command lines (npm packages) against a model on loopback
	@scripts/agents
	@scripts/test agents

crds: setup ## write crds/, docs/kinds/ and docs/mcp-tools.md from schemas/
	@$(PY) -m schemas.crdgen
	@$(PY) -m schemas.docgen
	@$(PY) -m schemas.tools.docgen

proto: setup ## write proto/meshwire from the .proto files
	@$(PY) proto/generate.py

format: setup ## format and mend what can be mended
	@.venv/bin/ruff check --quiet --fix . || true
	@.venv/bin/ruff format .

lock: setup ## write requirements.lock from pyproject.toml (UPGRADE=1: newest of everything)
	@scripts/lock
