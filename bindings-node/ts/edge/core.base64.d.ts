/** Made by scripts/edge.mjs. */
declare const text: string;
export default text;
