# The verbs of WebAssembly and the hosts that need it; part of the Makefile at the root.
EDGE := tests/edge
WASM := $(PACKAGE)/wasm/core.wasm
WASM_RUST := Cargo.toml Cargo.lock .ci/wasm-build $(shell find core bindings-wasm \( -name '*.rs' -o -name Cargo.toml \) -print 2>/dev/null)

BUNDLERS := tests/bundlers
EDGE_APP := examples/edge_app
NODE_MADE += $(addsuffix /node_modules,$(EDGE) $(EDGE)/others $(BUNDLERS) $(EDGE_APP) bench/edge) $(PACKAGE)/wasm

.PHONY: build-wasm build-edge test-edge test-edge-hosts test-edge-soak test-bundlers demo-edge bench-edge

build-wasm: $(WASM) ## the core as WebAssembly (builds the standard library too: minutes, once)

build-edge: $(PACKAGE)/.built $(WASM) ## the npm package's entries for Workers, Vercel's edge, Deno and browsers
	@$(NODE) $(PACKAGE)/scripts/edge.mjs

test-edge: build-edge build-node $(EDGE)/node_modules/.tracespool $(COLLECTOR) ## Workers in workerd and in miniflare, and the module in Node, against a real collector
	@$(NODE) --test $(EDGE)/*.test.mjs

test-edge-hosts: build-edge $(EDGE)/node_modules/.tracespool $(EDGE)/others/node_modules/.package-lock.json $(COLLECTOR) ## Vercel's edge runtime, Deno, Bun and Chromium (installs 250 MB)
	@$(NODE) --test $(EDGE)/others/*.test.mjs

test-edge-soak: build-edge $(EDGE)/node_modules/.tracespool $(COLLECTOR) ## 100,000 requests through one isolate of workerd: its memory stays flat (minutes)
	@$(NODE) --test $(EDGE)/soak/*.test.mjs

# Every host there is, by one verb.
test-hosts: test-edge-hosts test-edge-soak test-bundlers

test-bundlers: $(BUNDLERS)/node_modules/.tracespool $(COLLECTOR) ## esbuild, Vite, webpack, wrangler and Next: what they make of the tarball, run on its host (installs 600 MB)
	@$(NODE) --test $(BUNDLERS)/*.test.mjs

demo-edge: $(EDGE_APP)/node_modules/.tracespool $(VENV)/.tools $(COLLECTOR) ## the same Worker in workerd untraced, with tracespool and with @langfuse: one table, a minute (USERS=200: so many keys)
	@NODE=$(NODE) $(BIN)/python -m examples.demo --stack edge --users $(or $(USERS),1) --requests 3000 --limit $(if $(filter file,$(origin LIMIT)),15,$(LIMIT))

bench-edge: build-edge bench/edge/node_modules/.tracespool $(COLLECTOR) ## cost of an observation in workerd beside the langfuse packages
	@$(NODE) bench/edge/index.mjs

bench/edge/node_modules/.tracespool: bench/edge/node_modules/.package-lock.json
	@ln -sfn ../../../$(PACKAGE) bench/edge/node_modules/tracespool
	@touch $@

# Workers import it by its name, and bundlers follow its conditions.
$(EDGE)/node_modules/.tracespool: $(EDGE)/node_modules/.package-lock.json
	@ln -sfn ../../../$(PACKAGE) $(EDGE)/node_modules/tracespool
	@touch $@

# The tarballs with WebAssembly in them, installed as applications do.
$(TARGET)/npm-edge/.packed: $(PACKAGE)/.native $(PACKAGE)/.built $(WASM) $(wildcard $(PACKAGE)/pack/*)
	@$(NODE) $(PACKAGE)/scripts/edge.mjs
	@rm -rf $(@D); $(NODE) $(PACKAGE)/pack/index.mjs $(@D) > /dev/null
	@touch $@

$(BUNDLERS)/node_modules/.tracespool: $(TARGET)/npm-edge/.packed $(BUNDLERS)/node_modules/.package-lock.json
$(EDGE_APP)/node_modules/.tracespool: $(TARGET)/npm-edge/.packed $(EDGE_APP)/node_modules/.package-lock.json

# What is shipped holds them.
npm-pack: build-edge

$(WASM): $(WASM_RUST) $(EDGE)/node_modules/.package-lock.json
	@.ci/wasm-build
