# The verbs of WebAssembly and the hosts that need it; part of the Makefile at the root.
EDGE := tests/edge
WASM := $(PACKAGE)/wasm/core.wasm
WASM_RUST := Cargo.toml Cargo.lock .ci/wasm-build $(shell find core bindings-wasm \( -name '*.rs' -o -name Cargo.toml \) -print 2>/dev/null)

.PHONY: build-wasm build-edge test-edge test-edge-hosts test-edge-soak bench-edge

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
test-hosts: test-edge-hosts test-edge-soak

bench-edge: build-edge bench/edge/node_modules/.tracespool $(COLLECTOR) ## cost of an observation in workerd beside the langfuse packages
	@$(NODE) bench/edge/index.mjs

bench/edge/node_modules/.tracespool: bench/edge/node_modules/.package-lock.json
	@ln -sfn ../../../$(PACKAGE) bench/edge/node_modules/tracespool
	@touch $@

# Workers import it by its name, and bundlers follow its conditions.
$(EDGE)/node_modules/.tracespool: $(EDGE)/node_modules/.package-lock.json
	@ln -sfn ../../../$(PACKAGE) $(EDGE)/node_modules/tracespool
	@touch $@

# What is shipped holds them.
npm-pack: build-edge

$(WASM): $(WASM_RUST) $(EDGE)/node_modules/.package-lock.json
	@.ci/wasm-build
