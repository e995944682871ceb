/** Made by wasm-bindgen; see .ci/wasm-build. */
export type InitOutput = Record<string, unknown>;
export function initSync(input: { module: WebAssembly.Module | BufferSource }): InitOutput;
