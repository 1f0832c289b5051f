# `make` prints the targets. Each does one thing; CI calls `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
NODES ?= 2
MODE ?= nftables

.DEFAULT_GOAL := help
.PHONY: help venv lock cli check unit kernel test demo demo-down ipvs cluster cluster-down cluster-load deploy e2e fleet bench kernels clean

help: ## these lines
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

venv: $(VENV)/.ready ## the Python environment, from the locked requirements

$(VENV)/.ready: requirements/dev.txt api/pyproject.toml client/pyproject.toml operator/pyproject.toml agent/pyproject.toml cli/pyproject.toml
	$(PYTHON) -c 'import ensurepip' 2>/dev/null && which gcc >/dev/null || $(PYTHON) -m tests.cluster packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e api -e client -e operator -e agent -e cli
	touch $@

lock: venv ## lock requirements/*.in again
	for f in agent operator cli dev; do $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header requirements/$$f.in -o requirements/$$f.txt; done

cli: venv ## kubectl-proxyconfig as one file, dist/kubectl-proxyconfig
	rm -rf dist/cli
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --target dist/cli -r requirements/cli.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --target dist/cli ./api ./client ./cli
	$(BIN)/shiv --site-packages dist/cli --entry-point proxyconfig_cli.app.single:run --python '/usr/bin/env python3' --output-file dist/kubectl-proxyconfig
	rm -rf dist/cli

check: venv ## lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: venv ## unit tests, no root needed
	$(BIN)/pytest tests/unit

kernel: venv ## kernel tests with real packets in network namespaces, against the real kube-proxy too; root needed
	$(BIN)/python -m tests.cluster prepare
	$(BIN)/pytest tests/kernel

test: venv ## everything: lint, types, layers and unit tests, then kernel (on other kernels too), API server, cluster and end-to-end tests
	$(BIN)/python -m tests.kernels prepare
	$(BIN)/python -m tests.cluster prepare
	$(BIN)/python -m tests

kernels: venv ## kernel tests on Linux 6.1, and on kernels that each lack something, as ordinary processes (user-mode Linux); root needed
	$(BIN)/python -m tests.kernels test

fleet: venv ## rehearsals on six nodes in three zones under traffic: waves, failures, interruptions, kube-proxy and back, a thousand changes; hours, root needed
	$(BIN)/python -m tests.cluster prepare
	$(BIN)/pytest -s tests/fleet

bench: venv ## kube-proxy and the agent side by side (MODES=nftables,ipvs,userspace SIZES=1000,5000 SUBJECTS=kube-proxy,proxyconfig COLD=5000x50), about an hour
	$(BIN)/python -m tests.bench $(if $(MODES),--modes $(MODES)) $(if $(COLD),--cold $(COLD)) $(if $(SIZES),--sizes $(SIZES)) $(if $(SUBJECTS),--subjects $(SUBJECTS))

demo: ## from nothing to Services that work: a cluster, the product, requests; prints each command (NODES=2, MODE=nftables, iptables, ipvs, userspace or auto)
	$(PYTHON) -m tests.cluster demo --nodes $(NODES) --mode $(MODE)

demo-down: cluster-down ## end what the demo started; nothing is left

ipvs: venv ## the demo's tour in ipvs mode on a kernel that has IPVS (user-mode Linux), as far as one node carries it; root needed
	$(BIN)/python -m tests.kernels run complete -- $(BIN)/python -m tests.kernels.tour

cluster: ## a local Kubernetes (NODES=2), kubeconfig in .cluster/kubeconfig
	$(PYTHON) -m tests.cluster up --nodes $(NODES)

cluster-down: ## end the local cluster; nothing is left
	$(PYTHON) -m tests.cluster down

cluster-load: ## import an image archive into the local cluster's nodes (IMAGE=archive.tar)
	$(PYTHON) -m tests.cluster load $(IMAGE)

deploy: ## manifests/ to the cluster of KUBECONFIG (images from IMAGE_PREFIX; API_SERVER=HOST:PORT for nodes), else to the local one with images built now
	$(PYTHON) -m tests.cluster deploy

e2e: venv ## end-to-end tests on the cluster of KUBECONFIG (images from IMAGE_PREFIX), else on a new local one
	$(if $(KUBECONFIG),,$(BIN)/python -m tests.cluster prepare)
	$(BIN)/pytest tests/e2e
