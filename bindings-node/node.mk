# The verbs of the npm package; part of the Makefile at the root.
NODE ?= node
NPM ?= npm
PACKAGE := bindings-node
NODE_MODULES := $(PACKAGE)/node_modules/.package-lock.json
NODE_RUST := Cargo.toml Cargo.lock $(shell find core $(PACKAGE) \( -name node_modules -o -name target \) -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print 2>/dev/null)
NODE_SCRIPTS := $(PACKAGE)/package.json $(PACKAGE)/tsconfig.json $(shell find $(PACKAGE)/ts $(PACKAGE)/scripts -type f 2>/dev/null)
NODE_INTEGRATIONS := $(PACKAGE)/test/integrations/current $(PACKAGE)/test/integrations/earlier
NODE_MADE := $(PACKAGE)/dist $(PACKAGE)/.built $(PACKAGE)/.native $(PACKAGE)/.native-shipped tests/hosts/next/.next $(addsuffix /node_modules,$(PACKAGE) $(NODE_INTEGRATIONS) bench/node examples/express_app tests/hosts)
NODE_BENCHES := hotpath loop bursts clients flush import

.PHONY: build-node test-node test-node-integrations test-hosts npm-pack demo-node bench-node $(NODE_BENCHES:%=bench-node-%)

build-node: $(PACKAGE)/.built $(PACKAGE)/.native ## the npm package: its binary and its JavaScript

test-node: build-node build examples/express_app/node_modules/.tracespool ## the npm package: its own tests, real processes, and what the tarballs hold
	@cd $(PACKAGE) && $(NPM) test --silent
	@NODE=$(NODE) $(PYTEST) tests/node

test-node-integrations: build-node build $(NODE_INTEGRATIONS:%=%/node_modules/.package-lock.json) ## OpenAI's and LangChain's real packages, and the same programs with @langfuse
	@cd $(PACKAGE) && $(NPM) run --silent test:integrations

test-hosts: tests/hosts/node_modules/.tracespool build ## Express, Fastify and Next under load, beside Sentry and Datadog, and all edge hosts (installs 750 MB, 40 minutes)
	@NODE=$(NODE) $(PYTEST) tests/hosts --timeout 1500

demo-node: examples/express_app/node_modules/.tracespool build ## the same Express service untraced, with tracespool and with @langfuse: one table, a minute
	@NODE=$(NODE) $(BIN)/python -m examples.demo --stack node --requests 3000 --limit $(if $(filter file,$(origin LIMIT)),15,$(LIMIT))

npm-pack: $(PACKAGE)/.native-shipped $(PACKAGE)/.built ## the tarballs as they are shipped, into OUT
	@test -n "$(OUT)" || { echo "where to: make npm-pack OUT=DIR"; exit 1; }
	@$(NODE) $(PACKAGE)/pack/index.mjs "$(OUT)"

bench-node: $(NODE_BENCHES:%=bench-node-%) ## all figures of the npm package in docs/figures.md

bench-node-hotpath: bench/node/node_modules/.tracespool ## cost of an observation beside the langfuse packages
	@NODE=$(NODE) $(BIN)/python -m bench.node.hotpath

bench-node-loop: bench/node/node_modules/.tracespool ## how late the event loop of a service gets
	@NODE=$(NODE) $(BIN)/python -m bench.node.loop

bench-node-bursts: bench/node/node_modules/.tracespool ## what is stored of 50,000 observations in one tick
	@NODE=$(NODE) $(BIN)/python -m bench.node.bursts

bench-node-clients: bench/node/node_modules/.tracespool ## 200 clients of 200 keys: threads, memory, time
	@NODE=$(NODE) $(BIN)/python -m bench.node.clients

bench-node-flush: bench/node/node_modules/.tracespool ## flush({ timeout: 1000 }) and process exit against broken servers
	@NODE=$(NODE) $(BIN)/python -m bench.node.flush

bench-node-import: bench/node/node_modules/.tracespool ## time and memory of the import
	@NODE=$(NODE) $(BIN)/python -m bench.node.imports

# ---------------------------------------------------------------------------------------------- what they stand on
%/node_modules/.package-lock.json: %/package-lock.json
	@echo "installing what $* needs"
	@cd $* && $(NPM) ci --silent --no-audit --no-fund
	@touch $@

$(PACKAGE)/.built: $(NODE_MODULES) $(NODE_SCRIPTS)
	@cd $(PACKAGE) && $(NPM) run --silent build
	@touch $@

$(PACKAGE)/.native: $(NODE_MODULES) $(NODE_RUST)
	@echo "building the binary for Node"
	@$(FAST) $(CARGO) build -q --release -p tracespool-node
	@$(NODE) $(PACKAGE)/pack/develop.mjs $(TARGET)
	@rm -f $(PACKAGE)/.native-shipped; touch $@

# The same binary with the release profile of Cargo.toml: figures are taken from this one.
$(PACKAGE)/.native-shipped: $(NODE_MODULES) $(NODE_RUST)
	@echo "building the binary for Node as it is shipped"
	@CARGO_PROFILE_RELEASE_STRIP=debuginfo $(CARGO) build -q --release -p tracespool-node
	@$(NODE) $(PACKAGE)/pack/develop.mjs $(TARGET)
	@rm -f $(PACKAGE)/.native; touch $@

# Examples, benches and hosts use the package as its users do: from the tarballs.
$(TARGET)/npm-fast/.packed: $(PACKAGE)/.native $(PACKAGE)/.built $(wildcard $(PACKAGE)/pack/*)
$(TARGET)/npm/.packed: $(PACKAGE)/.native-shipped $(PACKAGE)/.built $(wildcard $(PACKAGE)/pack/*)
$(TARGET)/npm-fast/.packed $(TARGET)/npm/.packed:
	@rm -rf $(@D); $(NODE) $(PACKAGE)/pack/index.mjs $(@D) > /dev/null
	@touch $@

bench/node/node_modules/.tracespool: $(TARGET)/npm/.packed bench/node/node_modules/.package-lock.json
examples/express_app/node_modules/.tracespool: $(TARGET)/npm-fast/.packed examples/express_app/node_modules/.package-lock.json
tests/hosts/node_modules/.tracespool: $(TARGET)/npm-fast/.packed tests/hosts/node_modules/.package-lock.json
%/node_modules/.tracespool:
	@rm -rf $*/node_modules/tracespool $*/node_modules/@tracespool
	@cd $* && $(NPM) install --silent --no-save --no-audit --no-fund $(abspath $(<D))/*.tgz
	@touch $@
