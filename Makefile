# Verbs only. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
COLLECTOR := $(TARGET)/release/tracespool-collector
INTEGRATIONS := $(VENV)/integrations
LIMIT ?= 40
FRAMEWORKS := langflow litellm agents
RECEIVERS := .venv-receivers
TIMEOUT ?= 180

# One profile for tests and demo, so that nothing is compiled twice; `dist` and `bench` build what is shipped.
FAST := CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
CRATES := -p tracespool-core -p tracespool-collector
LINTED := $(CRATES) -p tracespool-python -p tracespool-node -p tracespool-wasm -p tracespool-bench -p rust_basic
# The build backend looks for its own program on the path.
INSTALL := PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall .
PYTEST := $(BIN)/python -m pytest -q --no-header -p no:cacheprovider --timeout $(TIMEOUT)
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find core collector bindings-python -name target -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print 2>/dev/null)
PYTHON_SOURCES := pyproject.toml $(shell find bindings-python/python -name '*.py' -o -name '*.pyi' -o -name py.typed 2>/dev/null)

# ---------------------------------------------------------------------------------------------- what people ask for
.PHONY: help demo test build check fmt lint audit test-core test-wasm test-collector test-python test-blackbox
.PHONY: compatibility test-deploy test-dropin test-frameworks test-integrations test-instrumentations test-langflow test-receivers
.PHONY: bench bench-hotpath bench-scopes bench-langchain bench-otel bench-clients bench-import bench-flush bench-tenants dist clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-22s %s\n", $$1, $$2 }'

demo: build ## the same service untraced, with tracespool and with the langfuse SDK: one table, one web page
	@$(BIN)/python -m examples.demo --limit $(LIMIT)

test: check test-core test-collector test-wasm test-python test-blackbox test-integrations test-node test-edge ## everything that must pass

build: $(VENV)/.wheel $(COLLECTOR) ## the Python package into .venv, and the collector

check: lint ## format and lints, nothing is run
	@$(CARGO) fmt --all --check

fmt: ## formats the Rust sources
	@$(CARGO) fmt --all

lint: ## clippy, warnings are errors
	@$(FAST) PYO3_PYTHON=$(PYTHON) $(CARGO) clippy -q --release --all-targets $(LINTED) -- -D warnings

audit: ## licences and advisories of the dependencies (needs cargo-deny: `cargo install cargo-deny`)
	@$(CARGO) deny check

test-core: ## the core: unit, scripted and property tests, and the example that uses it from Rust
	@$(FAST) $(CARGO) test -q --release -p tracespool-core -p rust_basic

test-collector: ## the collector's own tests
	@$(FAST) $(CARGO) test -q --release -p tracespool-collector

test-wasm: ## the core builds for wasm32-unknown-unknown, and its tests pass as WebAssembly under Node
	@.ci/wasm-check
	@.ci/wasm-test

test-python: build ## the Python package: stubs against the module, and its tests
	@cd bindings-python && ../$(BIN)/python -m mypy.stubtest tracespool._native
	@$(PYTEST) bindings-python/tests

test-blackbox: build ## the promises, from outside: real processes, a real collector, a short demo
	@$(PYTEST) tests --ignore tests/receivers --ignore tests/integrations --ignore tests/frameworks --ignore tests/deployment --ignore tests/node --ignore tests/hosts

test-receivers: build ## other backends, really: Arize Phoenix and MLflow (fetches 2 GB once)
	@$(MAKE) -j2 $(RECEIVERS)/.phoenix $(RECEIVERS)/.mlflow
	@$(PYTEST) tests/receivers --timeout 600

compatibility: build ## docs/compatibility-signatures.md: our signatures beside those of langfuse 3, 4 and 5
	@for major in 3 4; do test -d $(VENV)/langfuse-$$major || $(BIN)/python -m pip install -q --disable-pip-version-check \
		--no-deps --target $(VENV)/langfuse-$$major "langfuse>=$$major,<$$((major + 1))"; done
	@cd tests/conformance && ../../$(BIN)/python -m signatures.table --snapshots ../../$(VENV)
	@cd tests/conformance && ../../$(BIN)/python -m signatures.table

test-dropin: build ## frameworks of others that trace to langfuse, unchanged on tracespool (installs 100 MB)
	@test -d $(VENV)/frameworks || $(BIN)/python -m pip install -q --disable-pip-version-check --target $(VENV)/frameworks -r tests/frameworks.txt
	@$(PYTEST) tests/dropin/test_frameworks.py

test-deploy: build $(VENV)/deploy/.ready ## deploy/ by its own tools: docker compose, hadolint, ClickHouse, nginx, a real OpenTelemetry Collector (fetches 600 MB)
	@$(PYTEST) tests/deploy

test-langflow: build $(FRAMEWORKS:%=$(VENV)/%/.ready) ## Langflow, LiteLLM, Dify's calls, LlamaIndex and agents on tracespool (installs 1 GB)
	@$(PYTEST) tests/frameworks --timeout 1800

test-instrumentations: build ## real OpenTelemetry instrumentation against a fake OpenAI server (installs 60 MB)
	@test -d $(VENV)/instrumentations || $(BIN)/python -m pip install -q --disable-pip-version-check --target $(VENV)/instrumentations -r tests/otel/instrumentations.txt
	@$(PYTEST) tests/otel

test-frameworks: build $(VENV)/frameworks-own/.ready ## Django, FastAPI, Flask, Celery, gunicorn and gevent: alone and as processes under load (installs 60 MB)
	@$(PYTEST) tests/deployment tests/durability/test_gunicorn.py tests/durability/test_gunicorn_hooks.py

bench-otel: $(VENV)/.wheel-shipped $(COLLECTOR) ## cost of an observation with and without OpenTelemetry imported
	@$(BIN)/python -m bench.otel

test-integrations: build $(INTEGRATIONS)/.ready ## LangChain, LangGraph and the OpenAI package against a fake OpenAI server, beside langfuse
	@$(subst $(BIN),$(INTEGRATIONS)/bin,$(PYTEST)) tests/integrations

bench: bench-import bench-clients bench-hotpath bench-scopes bench-langchain bench-otel bench-flush bench-tenants ## all figures of docs/figures.md

bench-hotpath: $(VENV)/.wheel-shipped $(COLLECTOR) ## cost of an observation beside the langfuse SDK
	@$(BIN)/python -m bench.hotpath

bench-scopes: $(VENV)/.wheel-shipped ## cost of a propagate_attributes block and of an @observe call
	@$(BIN)/python -m bench.scopes

bench-clients: $(VENV)/.wheel-shipped $(COLLECTOR) ## 200 clients of 200 keys: threads, memory, time
	@$(BIN)/python -m bench.clients

bench-import: $(VENV)/.wheel-shipped $(COLLECTOR) ## time and memory of the import
	@$(BIN)/python -m bench.imports

bench-langchain: $(VENV)/.wheel-shipped $(INTEGRATIONS)/.ready ## cost of a LangChain run's events beside langfuse's handler
	@$(INTEGRATIONS)/bin/python -m bench.langchain

bench-flush: $(VENV)/.wheel-shipped $(COLLECTOR) ## flush(1.0) and process exit against broken servers
	@$(BIN)/python -m bench.flush

bench-tenants: $(VENV)/.tools ## 10,000 tenants on the one export thread
	@CARGO=$(CARGO) $(BIN)/python -m bench.crowd $(ARGS)

dist: $(VENV)/.tools ## the wheel as it is shipped, into dist/
	@PATH="$$PWD/$(BIN):$$PATH" $(BIN)/maturin build --release --out dist

clean: ## removes what the verbs made
	@rm -rf $(VENV) $(RECEIVERS) demo-data dist $(TARGET) $(NODE_MADE)

# ---------------------------------------------------------------------------------------------- what they stand on
$(VENV)/.tools: tests/requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r tests/requirements.txt
	@touch $@

$(VENV)/.wheel: $(VENV)/.tools $(RUST_SOURCES) $(PYTHON_SOURCES)
	@echo "building the Python package"
	@$(FAST) $(INSTALL)
	@rm -f $(VENV)/.wheel-shipped; touch $@

# An environment on top of the other: the other tests and the benches shall not see what this one holds.
$(INTEGRATIONS)/.ready: $(VENV)/.tools tests/requirements-integrations.txt
	@echo "installing what the integrations are tested with"
	@$(BIN)/python -m venv $(INTEGRATIONS)
	@$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > "$$($(INTEGRATIONS)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/below.pth"
	@$(INTEGRATIONS)/bin/python -m pip install -q --disable-pip-version-check -r tests/requirements-integrations.txt
	@touch $@

# The same package with the release profile of Cargo.toml: figures are taken from this one.
$(VENV)/.wheel-shipped: $(VENV)/.tools $(RUST_SOURCES) $(PYTHON_SOURCES)
	@echo "building the Python package as it is shipped"
	@$(INSTALL)
	@rm -f $(VENV)/.wheel; touch $@

$(COLLECTOR): $(RUST_SOURCES)
	@echo "building the collector"
	@$(FAST) $(CARGO) build -q --release -p tracespool-collector
	@touch $@

# Each in an environment of its own: their dependencies do not agree.
$(RECEIVERS)/.%: tests/receivers/%.txt
	@echo "installing $*"
	@test -x $(RECEIVERS)/$*/bin/python || $(PYTHON) -m venv $(RECEIVERS)/$*
	@$(RECEIVERS)/$*/bin/python -m pip install -q --no-compile --disable-pip-version-check -r $<
	@touch $@

# Nothing of it is installed on the machine.
$(VENV)/deploy/.ready: tests/deploy/packages.txt .ci/otelcol .ci/from-debian $(wildcard tests/deploy/otelcol/*) | $(VENV)/.tools
	@echo "fetching docker compose, hadolint, chdb and nginx, building the OpenTelemetry Collector"
	@rm -rf $(@D); mkdir -p $(@D)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --target $(@D)/packages -r $<
	@.ci/from-debian trixie $(@D)/compose docker-compose
	@.ci/from-debian "$$(. /etc/os-release; echo "$$VERSION_CODENAME")" $(@D)/nginx nginx
	@PYTHON=$(BIN)/python .ci/otelcol $(@D)
	@touch $@

# Beside the environment, not in it: what is not asked for shall be missing for the other tests.
$(VENV)/frameworks-own/.ready: tests/requirements-frameworks.txt | $(VENV)/.tools
	@echo "installing the frameworks"
	@rm -rf $(@D); timeout 600 $(BIN)/python -m pip install -q --disable-pip-version-check --target $(@D) -r $<
	@touch $@

$(FRAMEWORKS:%=$(VENV)/%/.ready): $(VENV)/%/.ready: tests/%.txt | $(VENV)/.tools
	@echo "installing $*"
	@test -x $(VENV)/$*/bin/python || $(BIN)/python -m venv $(VENV)/$*
	@$(VENV)/$*/bin/python -m pip install -q --no-compile --no-deps --disable-pip-version-check -r $<
	@touch $@

Cargo.lock:
	@$(CARGO) generate-lockfile

include bindings-node/node.mk
include bindings-node/edge.mk
