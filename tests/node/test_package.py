"""What the tarballs hold, and that they work where they are installed: ESM, CommonJS, TypeScript, without a binary."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import tomllib

import pytest
from program import environment
from script import NODE, Script

from examples.demo.collector import ROOT

PACKAGE = ROOT / "bindings-node"
PLATFORMS = json.loads((PACKAGE / "platforms.json").read_text())


def contents(tarball) -> dict[str, bytes]:
    """The files of a tarball."""
    with tarfile.open(tarball) as packed:
        return {
            member.name.removeprefix("package/"): packed.extractfile(member).read() for member in packed.getmembers() if member.isfile()
        }


def manifests(tarballs) -> tuple[dict, dict]:
    """The manifest of the main package and that of this host's platform."""
    found = [json.loads(contents(tarball)["package.json"]) for tarball in tarballs]
    main = next(manifest for manifest in found if manifest["name"] == "tracespool")
    (platform,) = [manifest for manifest in found if manifest is not main]
    return main, platform


def test_versions_are_one(tarballs):
    main, platform = manifests(tarballs)
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert main["version"] == platform["version"] == version
    assert main["optionalDependencies"] == {f"@tracespool/{name}": version for name in PLATFORMS}


def test_the_main_package_is_for_every_host(tarballs):
    main, _ = manifests(tarballs)
    # Only an entry that sets WebAssembly going does something by being imported.
    assert all(path.startswith("./dist/edge/") for path in main["sideEffects"] or [])
    assert main["engines"]["node"].startswith(">=20")
    assert not {"os", "cpu", "libc", "private", "scripts", "devDependencies"} & set(main)
    files = next(contents(tarball) for tarball in tarballs if json.loads(contents(tarball)["package.json"])["name"] == "tracespool")
    assert {"README.md", "LICENSE-MIT", "LICENSE-APACHE"} <= set(files)
    assert not [name for name in files if name.endswith(".node")]
    own = str(ROOT).encode()
    assert not [name for name, content in files.items() if own in content]
    for entry in main["exports"].values():
        for condition in {"import", "require"}.intersection(entry if isinstance(entry, dict) else ()):
            for path in entry[condition].values():
                assert path.removeprefix("./") in files, path


def test_a_platform_package_says_whom_it_is_for(tarballs):
    _, platform = manifests(tarballs)
    known = PLATFORMS[platform["name"].removeprefix("@tracespool/")]
    assert (platform["os"], platform["cpu"]) == ([known["os"]], [known["cpu"]])
    assert platform.get("libc") == ([known["libc"]] if "libc" in known else None)
    assert platform["main"] == "tracespool.node"


def test_the_loader_names_every_platform_as_it_stands():
    """Bundlers and file tracers follow `require` of a text that stands there, of nothing else."""
    loader = (PACKAGE / "ts" / "native.ts").read_text()
    assert set(re.findall(r'require\("@tracespool/([a-z0-9-]+)"\)', loader)) == set(PLATFORMS)


TRACED = """
const client = new Client();
const answer = startActiveObservation("outer", (outer) => {
  outer.update({ input: { question: 1 } });
  return startActiveObservation("inner", () => 42, { asType: "tool" });
});
const report = await client.flush({ timeout: 5000 });
console.log(JSON.stringify({ answer, delivered: report.delivered }));
"""


def test_as_an_es_module(receiver, script):
    ended = script('import { Client, startActiveObservation } from "tracespool";\n' + TRACED).run(environment(receiver.url))
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == {"answer": 42, "delivered": 2}


def test_as_commonjs(receiver, script):
    source = 'const { Client, startActiveObservation } = require("tracespool");\n(async () => {' + TRACED + "})();\n"
    ended = script(source, "program.cjs").run(environment(receiver.url))
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == {"answer": 42, "delivered": 2}


def test_both_in_one_process_are_one_library(receiver, script):
    ended = script(
        """
        import { createRequire } from "node:module";
        import { Client, startActiveObservation } from "tracespool";
        const other = createRequire(import.meta.url)("tracespool");
        const client = new Client();
        startActiveObservation("outer", () => other.startActiveObservation("inner", () => {}));
        const report = await other.getClient().flush({ timeout: 5000 });
        console.log(report.delivered);
        """
    ).run(environment(receiver.url))
    assert (ended.code, ended.out, ended.err) == (0, "2\n", "")
    rows = receiver.observations("pk-lf-blackbox")
    assert rows["inner"]["parent"] == rows["outer"]["span_id"]


STRICT = """
import { Client, startActiveObservation, startObservation, propagateAttributes, observe, stats } from "tracespool";

const client: Client = new Client({ publicKey: "pk-lf-a", secretKey: "sk-lf-a", baseUrl: "http://127.0.0.1:9" });
const text: string = startActiveObservation("outer", (span) => {
  span.update({ input: { question: "why" }, metadata: { attempt: "1" }, level: "DEFAULT" });
  return "because";
});
const later: Promise<number> = startActiveObservation(
  "write",
  async (generation) => {
    generation.update({ model: "demo", usageDetails: { input: 1, output: 2 }, completionStartTime: new Date() });
    return 7;
  },
  { asType: "generation" },
);
const add = observe((one: number, other: number): number => one + other, { name: "add", asType: "tool" });
const sum: number = add(1, 2);
propagateAttributes({ userId: "ann", tags: ["a"] }, () => startObservation("tool", { input: 1 }, { asType: "tool" }).end());
const report = await client.flush({ timeout: 100 });
const delivered: number = report.delivered;
// @ts-expect-error a wrong type of observation
startObservation("x", {}, { asType: "sausage" });
// @ts-expect-error seconds are no option
await client.flush({ seconds: 1 });
console.log(text, await later, sum, delivered, stats());
"""


@pytest.mark.parametrize("module", ["nodenext", "bundler", "commonjs"])
def test_typescript_strict(script, module):
    resolution = {"nodenext": "nodenext", "bundler": "bundler", "commonjs": "node16"}[module]
    options = {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "noEmit": True,
        "skipLibCheck": False,
        "target": "es2022",
        "lib": ["es2023", "esnext.disposable", "dom", "dom.asynciterable"],
        "module": {"nodenext": "nodenext", "bundler": "esnext", "commonjs": "node16"}[module],
        "moduleResolution": resolution,
        "types": ["node"],
        "typeRoots": [str(PACKAGE / "node_modules" / "@types")],
    }
    source = STRICT
    name = "program.mts"
    if module == "commonjs":
        imports, body = STRICT.strip().split("\n", 1)
        source, name = f"{imports}\nasync function main() {{{body}}}\nvoid main();\n", "program.cts"
    written = script(source, name, tsconfig_json=json.dumps({"compilerOptions": options, "files": [name]}))
    compiler = PACKAGE / "node_modules" / "typescript" / "bin" / "tsc"
    checked = subprocess.run([NODE, str(compiler), "-p", str(written.path.parent)], capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("how", ["esm", "cjs", "external"])
def test_bundled_by_esbuild(receiver, script, how):
    """Bundled into the application, or left outside as the documentation says: the binary is found from where the bundle lies."""
    wrapped = 'import { Client, startActiveObservation } from "tracespool";\nasync function main() {' + TRACED + "}\nvoid main();\n"
    written = script(wrapped, "source.mjs")
    bundle = written.path.with_name("bundle.cjs" if how == "cjs" else "bundle.mjs")
    esbuild = PACKAGE / "node_modules" / "esbuild" / "bin" / "esbuild"
    options = ["--bundle", "--platform=node", f"--format={'cjs' if how == 'cjs' else 'esm'}", f"--outfile={bundle}", str(written.path)]
    if how == "external":
        options.append("--external:tracespool")
    made = subprocess.run([str(esbuild), *options], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    written.path = bundle
    ended = written.run(environment(receiver.url))
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == {"answer": 42, "delivered": 2}


@pytest.fixture(params=["no package", "no file", "another platform's file"])
def crippled(request, tmp_path, project) -> Script:
    """The project where npm did not bring the binary, or not the right one."""
    modules = tmp_path / "node_modules"
    shutil.copytree(project / "node_modules", modules)
    (platform,) = (modules / "@tracespool").iterdir()
    if request.param == "no package":
        shutil.rmtree(platform)
    elif request.param == "no file":
        (platform / "tracespool.node").unlink()
    else:
        (platform / "tracespool.node").write_bytes(b"\xcf\xfa\xed\xfe" + bytes(4096))
    return Script(tmp_path, 'import { Client, startActiveObservation, observe, stats } from "tracespool";\n' + TRACED + MORE, "program.mjs", {})


MORE = """
const broken = await Promise.resolve().then(() => startActiveObservation("fails", () => { throw new Error("mine"); })).catch((error) => error.message);
const add = observe((one, other) => one + other);
for (let turn = 0; turn < 1000; turn += 1) startActiveObservation("more", (step) => step.update({ input: turn }));
console.log(JSON.stringify({ broken, sum: add(1, 2), stats: typeof stats() }));
await client.shutdown();
"""


def test_without_its_binary_the_application_runs_untraced(receiver, crippled):
    ended = crippled.run(environment(receiver.url))
    assert ended.code == 0, ended.err
    first, second = map(json.loads, ended.lines())
    assert first == {"answer": 42, "delivered": 0}
    assert second == {"broken": "mine", "sum": 3, "stats": "object"}
    (line,) = ended.err.strip().splitlines()
    assert "tracespool" in line and "@tracespool/" in line
    assert receiver.whole()[0] == 0


def test_lock_files_name_no_registry():
    listed = subprocess.run(["git", "ls-files", "*package-lock.json"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert listed
    for path in listed:
        found = re.findall(r'"(?:resolved|integrity)?[^"]*": "https?://[^"]*"', (ROOT / path).read_text())
        assert not [line for line in found if '"resolved"' in line], path
        assert "registry" not in (ROOT / path).read_text().lower(), path
        assert (ROOT / path).parent.joinpath(".npmrc").read_text().count("omit-lockfile-registry-resolved=true") == 1
