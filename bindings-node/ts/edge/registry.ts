/** Older compatibility dates of Workers have no `FinalizationRegistry`: then nobody is told. Put in its place by the build. */
class Nothing {
  register(): void {}
  unregister(): boolean {
    return false;
  }
}

const own: unknown = (globalThis as { FinalizationRegistry?: unknown }).FinalizationRegistry ?? Nothing;

export { own as FinalizationRegistry };
