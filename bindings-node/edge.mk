# The verbs of WebAssembly and the hosts that need it; part of the Makefile at the root.
EDGE := tests/edge
WASM := $(PACKAGE)/wasm/core.wasm
WASM_RUST := Cargo.toml Cargo.lock .ci/wasm-build $(shell find core bindings-wasm \( -name '*.rs' -o -name Cargo.toml \) -print 2>/dev/null)

.PHONY: build-wasm build-edge test-edge

build-wasm: $(WASM) ## the core as WebAssembly (builds the standard library too: minutes, once)

build-edge: $(PACKAGE)/.built $(WASM) ## the npm package's entries for Workers, Vercel's edge, Deno and browsers
	@$(NODE) $(PACKAGE)/scripts/edge.mjs

test-edge: build-edge $(EDGE)/node_modules/.package-lock.json $(COLLECTOR) ## Workers in workerd, and the module in Node, against a real collector
	@$(NODE) --test $(EDGE)/*.test.mjs

# What is shipped holds them.
npm-pack: build-edge

$(WASM): $(WASM_RUST) $(EDGE)/node_modules/.package-lock.json
	@.ci/wasm-build
