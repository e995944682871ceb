// One trace: its observations as a tree beside their waterfall, and the chosen one in detail.
import { ask, cost, count, duration, make, time } from "/app.js";

const REFERENCE = /@@@langfuseMedia:type=([a-z0-9.+-]{1,40}\/[a-z0-9.+-]{1,100})\|id=([A-Za-z0-9_-]{1,64})\|source=[a-z0-9_]{1,40}@@@/g;
const MOST_MEDIA = 24;

let current = null; // { key, answer, chosen, folded }

export async function showTrace(main, project, id) {
  const key = `${project}/${id}`;
  const answer = await ask(`/api/v1/traces/${encodeURIComponent(id)}?project=${encodeURIComponent(project)}`);
  if (!location.hash.includes(encodeURIComponent(id))) return;
  const text = JSON.stringify(answer);
  if (current?.key === key && current.text === text && main.querySelector(".trace")) return;
  if (current?.key !== key) current = { key, chosen: null, folded: new Set() };
  current.answer = answer;
  current.text = text;
  document.title = `${answer.trace.name ?? id} · tracespool`;
  draw(main);
}

function draw(main) {
  const { answer } = current;
  const rows = outline(answer.observations);
  current.chosen ??= rows[0]?.observation.span_id ?? null;
  const tree = make("div", { class: "tree", role: "tree", onkeydown: (event) => walk(event, main) });
  const begin = answer.trace.start_ns;
  const whole = Math.max(answer.trace.end_ns - begin, 1);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => make("span", {}, part ? duration((whole * part) / 1e6) : "0"));
  tree.append(make("div", { class: "ruler" }, make("span", {}, "Observation"), make("span", { class: "ticks" }, ...ticks), make("span", {})));
  tree.append(...rows.map((entry) => node(entry, begin, whole, main)));
  const scroll = main.querySelector(".tree")?.scrollTop ?? 0;
  main.replaceChildren(make("div", { class: "trace" }, head(answer.trace), make("div", { class: "panes" }, tree, detail(answer))));
  tree.scrollTop = scroll;
}

/** Observations in tree order; those whose parent is not here stand at the top. */
function outline(observations) {
  const known = new Set(observations.map((each) => each.span_id));
  const below = new Map();
  for (const each of observations) {
    const parent = known.has(each.parent) && each.parent !== each.span_id ? each.parent : "";
    below.set(parent, [...(below.get(parent) ?? []), each]);
  }
  const rows = [];
  const seen = new Set();
  const visit = (observation, depth) => {
    if (seen.has(observation.span_id)) return;
    seen.add(observation.span_id);
    const children = below.get(observation.span_id) ?? [];
    rows.push({ observation, depth, children: children.length });
    if (!current.folded.has(observation.span_id)) children.forEach((child) => visit(child, depth + 1));
    else children.forEach((child) => hide(child));
  };
  const hide = (observation) => {
    if (seen.has(observation.span_id)) return;
    seen.add(observation.span_id);
    (below.get(observation.span_id) ?? []).forEach(hide);
  };
  (below.get("") ?? []).forEach((root) => visit(root, 0));
  observations.forEach((rest) => visit(rest, 0)); // a ring of parents has no root of its own
  return rows;
}

function node({ observation, depth, children }, begin, whole, main) {
  const left = ((observation.start_ns - begin) / whole) * 100;
  const bar = make("i");
  bar.style.left = `${Math.min(Math.max(left, 0), 99.5)}%`;
  bar.style.width = `${Math.min(((observation.end_ns - observation.start_ns) / whole) * 100, 100 - left)}%`;
  const folded = current.folded.has(observation.span_id);
  const fold = make("span", { class: "fold", "aria-hidden": "true" }, children ? (folded ? "▸" : "▾") : "");
  if (children) {
    fold.addEventListener("click", (event) => { event.stopPropagation(); toggle(observation.span_id, main); });
  }
  const label = make("span", { class: "label" }, fold, make("span", { class: "dot" }),
    make("span", { class: "text", title: observation.name }, observation.name || "(no name)"),
    observation.type === "span" ? null : make("span", { class: "kind" }, observation.type));
  label.style.paddingLeft = `${Math.min(depth, 12) * 16}px`;
  const error = observation.level === "ERROR" ? " error" : "";
  const chosen = observation.span_id === current.chosen;
  return make("button", {
    class: `node k-${observation.type}${error}`, role: "treeitem", "aria-level": String(depth + 1),
    "aria-selected": String(chosen), tabindex: chosen ? "0" : "-1", "data-span": observation.span_id,
    "aria-expanded": children ? String(!folded) : null,
    onclick: () => { current.chosen = observation.span_id; redraw(main); },
  }, label, make("span", { class: "lane" }, bar),
  make("span", { class: "took" }, duration((observation.end_ns - observation.start_ns) / 1e6)));
}

function redraw(main) {
  draw(main);
  main.querySelector(".node[aria-selected=true]")?.focus({ preventScroll: true });
}

function toggle(span, main) {
  if (!current.folded.delete(span)) current.folded.add(span);
  redraw(main);
}

function walk(event, main) {
  const nodes = [...main.querySelectorAll(".node")];
  const at = nodes.findIndex((each) => each.dataset.span === current.chosen);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && nodes[at + step]) {
    event.preventDefault();
    current.chosen = nodes[at + step].dataset.span;
    redraw(main);
    main.querySelector(".node[aria-selected=true]").scrollIntoView({ block: "nearest" });
  } else if ((event.key === "ArrowLeft") !== current.folded.has(current.chosen) && event.key.match(/^Arrow(Left|Right)$/)) {
    toggle(current.chosen, main);
  }
}

function facts(pairs) {
  const present = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("div", { class: "facts" }, ...present.map(([name, value]) => make("span", {}, make("b", {}, name), String(value))));
}

function head(trace) {
  return make("div", { class: "head" },
    make("h1", {}, make("a", { class: "back", href: "#/", title: "All traces", "aria-label": "All traces" }, "←"), trace.name || "(no name)",
      ...(trace.tags ?? []).map((tag) => make("span", { class: "tag" }, tag))),
    facts([["Started", time(trace.start)], ["Latency", duration(trace.latency_ms)], ["Project", trace.project],
      ["User", trace.user], ["Session", trace.session], ["Environment", trace.environment], ["Version", trace.version],
      ["Release", trace.release], ["Tokens", trace.tokens === null ? null : count(trace.tokens)],
      ["Cost", trace.cost === null ? null : cost(trace.cost)], ["Errors", trace.errors || null], ["Trace", trace.trace_id]]));
}

function detail({ observations, scores }) {
  const pane = make("div", { class: "detail" });
  const it = observations.find((each) => each.span_id === current.chosen);
  if (it) {
    pane.append(make("h2", {}, it.name || "(no name)"),
      facts([["Type", it.type], ["Model", it.model], ["Took", duration((it.end_ns - it.start_ns) / 1e6)], ["Started", time(it.start)],
        ["Prompt", it.prompt_name === null ? null : `${it.prompt_name} v${it.prompt_version ?? "?"}`], ["Level", it.level === "DEFAULT" ? null : it.level]]));
    if (it.status_message) pane.append(section("Status", box(it.status_message, it.level === "ERROR" ? "bad" : "")));
    pane.append(...exceptions(it));
    if (it.input !== null) pane.append(value("Input", it.input));
    if (it.output !== null) pane.append(value("Output", it.output));
    if (it.usage) pane.append(section("Tokens", numbers(it.usage, count)));
    if (it.cost) pane.append(section("Cost", numbers(it.cost, cost)));
    if (filled(it.model_parameters)) pane.append(value("Model parameters", it.model_parameters));
    if (filled(it.metadata)) pane.append(value("Metadata", it.metadata));
    pane.append(...media(it));
  }
  const marks = scores.filter((score) => score.observation_id === null || score.observation_id === current.chosen);
  if (marks.length) pane.append(section("Scores", pairs(marks.map((score) => [
    score.observation_id ? score.name : `${score.name} (trace)`,
    [score.string_value ?? score.value, score.comment].filter((part) => part !== null && part !== "").join(" · ")]))));
  if (it) pane.append(raw(it));
  return pane;
}

function exceptions(it) {
  const events = (it.otel?.events ?? []).filter((event) => event.name === "exception");
  return events.map((event) => section("Exception", box(
    event.attributes["exception.stacktrace"] ?? `${event.attributes["exception.type"]}: ${event.attributes["exception.message"]}`, "bad")));
}

/** What the observation refers to as media. Type and id come out of traced text: only what looks like an id makes an address
 * of this collector, which decides by itself what a browser may show of the content. */
function media(it) {
  const found = new Map();
  for (const [, type, id] of JSON.stringify([it.input, it.output, it.metadata]).matchAll(REFERENCE)) found.set(id, type);
  const entries = [...found].slice(0, MOST_MEDIA).map(([id, type]) => {
    const address = `/api/v1/media/${encodeURIComponent(it.project)}/${encodeURIComponent(id)}`;
    const kind = type === "image/svg+xml" ? "" : type.split("/")[0];
    const shown = { image: () => make("img", { src: address, alt: type, loading: "lazy", referrerpolicy: "no-referrer" }),
      audio: () => make("audio", { src: address, controls: "", preload: "none" }),
      video: () => make("video", { src: address, controls: "", preload: "none" }) }[kind]?.();
    return make("figure", { class: "media" }, shown,
      make("figcaption", {}, type, " ", make("a", { href: address, download: id, rel: "noreferrer" }, "Save")));
  });
  return entries.length ? [section("Media", make("div", {}, ...entries))] : [];
}

const filled = (value) => value !== null && value !== undefined && (typeof value !== "object" || Object.keys(value).length > 0);

function raw(it) {
  return make("section", {}, make("details", {}, make("summary", {}, "Everything that was received"),
    box(highlighted({ trace_id: it.trace_id, span_id: it.span_id, parent: it.parent, start_ns: it.start_ns, end_ns: it.end_ns,
      attributes: it.attributes, resource: it.resource, scope: it.scope, otel: it.otel, sdk: it.sdk, received: it.received }))));
}

function section(title, body, copy) {
  const button = copy === undefined ? null : make("button", { type: "button", onclick: (event) => {
    navigator.clipboard?.writeText(copy).then(() => { event.target.textContent = "Copied"; }, () => {});
  } }, "Copy");
  return make("section", {}, make("h3", {}, title, button), body);
}

/** A value as it was traced: JSON text is laid out, other text stays as it is. */
function value(title, given) {
  let parsed = given;
  if (typeof given === "string") {
    try {
      parsed = JSON.parse(given);
    } catch {
      return section(title, box(given), given);
    }
    if (typeof parsed !== "object" || parsed === null) return section(title, box(given), given);
  }
  const text = typeof given === "string" ? given : JSON.stringify(given, null, 2);
  return section(title, box(text.length > 200_000 ? text : highlighted(parsed)), text);
}

function box(content, style = "") {
  return make("pre", { class: `text-box ${style}` }, content);
}

/** Indented JSON with colours, built from text nodes. */
function highlighted(parsed) {
  const fragment = document.createDocumentFragment();
  const token = /("(?:\\.|[^"\\])*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;
  const text = JSON.stringify(parsed, null, 2);
  let done = 0;
  for (const match of text.matchAll(token)) {
    const [all, quoted, colon, number] = match;
    fragment.append(text.slice(done, match.index));
    const style = quoted ? (colon ? "json-key" : "json-text") : number ? "json-number" : "json-word";
    fragment.append(make("span", { class: style }, quoted ?? all), colon ?? "");
    done = match.index + all.length;
  }
  fragment.append(text.slice(done));
  return fragment;
}

function numbers(map, write) {
  const order = Object.entries(map).sort(([a], [b]) => (a === "total") - (b === "total"));
  return pairs(order.map(([name, number]) => [name, write(number)]), "num");
}

function pairs(list, style = "") {
  return make("table", { class: "pairs" }, make("tbody", {}, ...list.map(([name, text]) =>
    make("tr", {}, make("td", {}, String(name)), make("td", { class: style }, String(text))))));
}
