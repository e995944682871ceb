// The list of traces, the filters, and which of the two views is shown. Everything that was traced is untrusted and
// only ever becomes a text node.
import { showTrace } from "/trace.js";

const main = document.getElementById("main");
const project = document.getElementById("project");
const text = document.getElementById("text");
const errors = document.getElementById("errors");
const live = document.getElementById("live");
const PAGE = 50;

/** Makes an element; children that are strings become text nodes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export async function ask(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.message ?? `The collector answered ${response.status}`);
  return body;
}

export const duration = (ms) => {
  if (ms >= 60_000) return `${Math.floor(ms / 60_000)} m ${Math.round((ms % 60_000) / 1000)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms >= 10_000 ? 1 : 2)} s`;
  if (ms >= 1) return `${ms.toFixed(ms >= 100 ? 0 : 1)} ms`;
  return `${Math.round(ms * 1000)} µs`;
};
export const cost = (usd) => (usd >= 1 ? `$${usd.toFixed(2)}` : `$${Number(usd.toPrecision(3))}`);
export const count = (number) => number.toLocaleString("en-US");
export const time = (iso) => {
  const date = new Date(iso);
  const clock = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return date.toDateString() === new Date().toDateString()
    ? clock
    : `${date.toLocaleDateString([], { month: "short", day: "numeric" })} ${clock}`;
};

const COLUMNS = [
  ["Time", "w-time", (t) => make("td", { title: t.start }, make("span", { class: "dim" }, time(t.start)))],
  ["Name", "", (t) => make("td", { class: "name", title: t.name ?? "" }, t.name || "(no name)",
    ...(t.tags ?? []).slice(0, 3).map((tag) => make("span", { class: "tag" }, tag)))],
  ["Project", "w-mid hide-narrow", (t) => make("td", { class: "hide-narrow dim", title: t.project }, t.project)],
  ["User", "w-mid hide-narrow", (t) => make("td", { class: "hide-narrow dim", title: t.user ?? "" }, t.user ?? "")],
  ["Latency", "w-num num", (t) => make("td", { class: "num" }, duration(t.latency_ms))],
  ["Obs.", "w-few num hide-tiny", (t) => make("td", { class: "num hide-tiny" }, count(t.observations))],
  ["Tokens", "w-num num hide-tiny", (t) => make("td", { class: "num hide-tiny" }, t.tokens === null ? "" : count(t.tokens))],
  ["Cost", "w-num num hide-narrow", (t) => make("td", { class: "num hide-narrow" }, t.cost === null ? "" : cost(t.cost))],
  ["Errors", "w-few num", (t) => make("td", { class: "num" }, t.errors ? make("span", { class: "pill" }, count(t.errors)) : "")],
];

let shown = PAGE;
let last = "";
let turn = 0;

const address = (trace) => `#/trace/${encodeURIComponent(trace.project)}/${encodeURIComponent(trace.trace_id)}`;

function row(trace) {
  const open = () => { location.hash = address(trace); };
  const keys = (event) => { if (event.key === "Enter") open(); };
  return make("tr", { tabindex: "0", onclick: open, onkeydown: keys }, ...COLUMNS.map(([, , cell]) => cell(trace)));
}

function empty() {
  const filtered = project.value || text.value || errors.checked;
  if (filtered) return make("div", { class: "empty" }, make("h2", {}, "No trace fits the filter"));
  return make("div", { class: "empty" },
    make("h2", {}, "No traces yet"),
    "Point an application at this collector and call it once; traces appear here by themselves.",
    make("div", {}, make("pre", {}, `LANGFUSE_BASE_URL=${location.origin}\nLANGFUSE_PUBLIC_KEY=pk-lf-…   # shown once at the first start,\nLANGFUSE_SECRET_KEY=sk-lf-…   # and kept in keys.json`)));
}

async function refreshList() {
  const mine = ++turn;
  const query = new URLSearchParams({ limit: String(shown) });
  if (project.value) query.set("project", project.value);
  if (text.value) query.set("text", text.value);
  if (errors.checked) query.set("errors", "1");
  const answer = await ask(`/api/v1/traces?${query}`);
  const state = JSON.stringify(answer) + new Date().toDateString();
  if (mine !== turn || route() || state === last) return;
  last = state;
  const heads = COLUMNS.map(([name, style]) => make("th", { class: style, scope: "col" }, name));
  const more = make("button", { class: "more", onclick: () => { shown += PAGE; refresh(); } }, "Show more");
  const table = make("table", { class: "traces" }, make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...answer.data.map(row)));
  main.replaceChildren(...(answer.data.length ? [table, answer.next && shown < 1000 ? more : ""] : [empty()]));
}

async function refreshProjects() {
  const answer = await ask("/api/v1/projects");
  const names = answer.data.map((entry) => entry.id);
  const have = [...project.options].slice(1).map((option) => option.value);
  if (JSON.stringify(names) === JSON.stringify(have)) return;
  const chosen = project.value;
  project.replaceChildren(make("option", { value: "" }, "All projects"),
    ...names.map((name) => make("option", { value: name }, name)));
  project.value = names.includes(chosen) ? chosen : "";
}

function route() {
  const match = location.hash.match(/^#\/trace\/([^/]*)\/([^/]*)/);
  if (!match) return null;
  try {
    return match.slice(1).map(decodeURIComponent);
  } catch {
    return null;
  }
}

async function refresh() {
  const wanted = route();
  try {
    if (wanted) await showTrace(main, ...wanted);
    else await Promise.all([refreshProjects(), refreshList()]);
    live.classList.remove("lost");
    live.title = "Refresh every two seconds";
  } catch (error) {
    live.classList.add("lost");
    live.title = String(error.message);
    if (!main.hasChildNodes()) main.replaceChildren(make("div", { class: "empty" }, make("h2", {}, String(error.message))));
  }
}

function start() {
  last = "";
  main.replaceChildren();
  document.title = "tracespool";
  refresh();
}

let typing;
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
const filter = () => { shown = PAGE; if (route()) location.hash = "#/"; else refresh(); };
text.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(filter, 200); });
project.addEventListener("change", filter);
errors.addEventListener("change", filter);
live.addEventListener("click", () => live.setAttribute("aria-pressed", String(live.getAttribute("aria-pressed") !== "true")));
addEventListener("hashchange", start);
setInterval(() => { if (live.getAttribute("aria-pressed") === "true" && !document.hidden) refresh(); }, 2000);
start();
