"use strict";
// Asks for status.json once a second and draws it. Everything written is set as text, never as
// markup: names come from files.
const EVERY_MS = 1000, SMOOTH_S = 5, KEY = "edgewise-token";
const byId = (id) => document.getElementById(id);
let latest = null, chosen = "", cursor = null, timer = 0;
let token = remembered();

function remembered() {
  try { return sessionStorage.getItem(KEY) || ""; } catch { return ""; }
}
function remember(text) {
  token = text;
  try { sessionStorage.setItem(KEY, text); } catch { /* a browser without storage asks again */ }
}

// ——— asking ———
async function poll() {
  clearTimeout(timer);
  if (!document.hidden) await ask();
  timer = setTimeout(poll, EVERY_MS);
}
async function ask() {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let reply;
  try {
    reply = await fetch("status.json", { headers, cache: "no-store" });
    if (reply.status === 401) return wantToken();
    if (!reply.ok) throw new Error(String(reply.status));
    latest = await reply.json();
  } catch {
    return setState("lost", latest ? `no answer since ${clock(latest.time)}` : "no answer");
  }
  byId("machines").hidden = token !== ""; // a link cannot carry the token
  byId("ask").hidden = true;
  byId("shown").hidden = false;
  draw();
}
function wantToken() {
  setState("lost", "token wanted");
  byId("shown").hidden = byId("machines").hidden = true;
  if (byId("ask").hidden) {
    byId("ask").hidden = false;
    byId("token").focus();
  } else if (token) byId("wrong").textContent = "That is not the token.";
  token = "";
}
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("wrong").textContent = "";
  remember(byId("token").value.trim());
  poll();
});
document.addEventListener("visibilitychange", () => document.hidden || poll());

// ——— words and numbers ———
const isNumber = (value) => typeof value === "number" && isFinite(value);
const dash = "–";
function count(value) {
  if (!isNumber(value)) return dash;
  for (const [scale, sign] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]])
    if (value >= scale) return `${+(value / (sign === "k" ? 1e3 : scale)).toPrecision(3)} ${sign}`;
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toPrecision(2);
}
function percent(value, digits = 1) {
  if (!isNumber(value)) return dash;
  const text = value.toFixed(digits);
  return `${text === "100.0" && value < 100 ? "99.9" : text} %`;
}
function time(ms) {
  if (!isNumber(ms)) return dash;
  if (ms === 0) return "0 ms";
  if (ms < 1) return `${(ms * 1000).toPrecision(ms < 0.0995 ? 2 : 3)} µs`;
  return ms < 999.5 ? `${+ms.toPrecision(3)} ms` : `${+(ms / 1000).toPrecision(3)} s`;
}
function size(bytes) {
  if (!isNumber(bytes)) return dash;
  for (const [scale, sign] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]])
    if (bytes >= scale) return `${+(bytes / scale).toPrecision(3)} ${sign}`;
  return `${bytes} B`;
}
function span(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}
const clock = (iso) => new Date(iso).toLocaleTimeString("en-GB");
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

// ——— building ———
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    if (key === "style") Object.assign(element.style, value);
    else if (value !== null) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
function shape(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes))
    if (key === "style") Object.assign(element.style, value); else element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}
function setState(kind, text) {
  byId("state").className = `state ${kind}`;
  setText("state", text);
}
// From the least accurate (red) to the most accurate variant (blue); neighbours differ in lightness.
function colours(variants) {
  const last = Math.max(variants.length - 1, 1);
  return new Map(variants.map((variant, index) => {
    const hue = 262 - 237 * index / last, step = index % 2 ? 0.05 : -0.03;
    const yellow = 0.14 * Math.exp(-(((hue - 95) / 40) ** 2)); // a dark yellow looks like mud
    return [variant.name, `oklch(calc(var(--light) + ${(step + yellow).toFixed(3)}) var(--chroma) ${hue.toFixed(0)})`];
  }));
}

// ——— what is drawn ———
function draw() {
  const names = latest.families.map((family) => family.name);
  if (!names.includes(chosen))
    chosen = [...latest.families].sort((a, b) => b.window.arrived - a.window.arrived)[0]?.name ?? "";
  const family = latest.families.find((each) => each.name === chosen);
  if (latest.draining) setState("draining", "draining"); else setState("serving", "serving");
  setText("foot", `Edgewise ${latest.version}, up for ${span(latest.uptime_s)}, last asked at ${clock(latest.time)}`);
  tabs(names);
  if (!family) return setText("about", "No family is served.");
  document.title = `${percent(100 * family.window.attainment, 0)} in time · ${chosen}`;
  setText("family", chosen);
  const policy = latest.policy ? `, chosen by ${latest.policy}` : "";
  setText("about", `${plural(family.variants.length, "variant")}${policy}; the last ${span(latest.seconds)}`);
  tiles(family);
  charts(family);
  table(family);
}
function tabs(names) {
  const nav = byId("families");
  if (nav.childElementCount !== (names.length > 1 ? names.length : 0) || [...nav.children].some((tab, i) => tab.textContent !== names[i]))
    nav.replaceChildren(...(names.length > 1 ? names : []).map((name) => {
      const tab = make("button", { type: "button" }, name);
      tab.addEventListener("click", () => { chosen = name; draw(); });
      return tab;
    }));
  for (const tab of nav.children) tab.setAttribute("aria-pressed", String(tab.textContent === chosen));
}
function tiles(family) {
  const seen = family.window, { workers, queue, memory } = latest;
  const refused = Object.values(seen.shed).reduce((sum, n) => sum + n, 0);
  const recent = family.series.answered.slice(-SMOOTH_S);
  const rate = recent.reduce((sum, n) => sum + n, 0) / Math.max(recent.length, 1);
  const budget = memory.budget_bytes ? ` of ${size(memory.budget_bytes)}` : "";
  const resident = `${size(memory.resident_bytes)}${budget} resident`;
  const kind = (value, good, fair) => !isNumber(value) ? "" : value >= good ? "good" : value >= fair ? "warn" : "bad";
  const rows = [
    ["in time", percent(isNumber(seen.attainment) ? 100 * seen.attainment : null), isNumber(seen.attainment) ? "of all with a deadline" : seen.arrived ? "no deadlines stated" : "no requests yet", kind(seen.attainment, 0.95, 0.8)],
    ["effective accuracy", percent(seen.effective_accuracy), isNumber(seen.accuracy) ? `${percent(seen.accuracy)} of what was answered` : "over all that is offered", ""],
    ["answered", `${count(rate)} /s`, [`${count(seen.answered)} in all`, refused && `${count(refused)} refused`, seen.failed && `${count(seen.failed)} failed`].filter(Boolean).join(", "), ""],
    ["latency, p99", time(seen.p99_ms), `median ${time(seen.p50_ms)}, in the service`, ""],
    ["queue", count(queue.length), `${time(queue.backlog_ms)} of work per worker`, ""],
    ["workers busy", `${workers.busy} of ${workers.alive}`, [workers.losses && `${count(workers.losses)} lost so far`, resident].filter(Boolean).join("; "), workers.alive < workers.configured ? "bad" : ""],
  ];
  byId("tiles").replaceChildren(...rows.map(([name, value, note, look]) =>
    make("div", { class: look }, make("dt", {}, name), make("dd", {}, make("b", {}, value), make("span", {}, note)))));
  if (workers.last_loss) byId("tiles").lastChild.title = workers.last_loss;
}
function table(family) {
  const colour = colours(family.variants), total = Math.max(family.window.answered, 1);
  byId("variants").replaceChildren(...family.variants.map((variant) => {
    const share = 100 * variant.answers / total;
    const change = variant.start_mean_ms > 0 ? 100 * (variant.mean_ms / variant.start_mean_ms - 1) : null;
    const look = !isNumber(change) || Math.abs(change) < 10 ? "" : change > 0 ? "slower" : "quicker";
    const bar = make("div", { class: "bar", style: { color: colour.get(variant.name) } },
      make("i", {}, make("b", { style: { width: `${share}%` } })), make("span", {}, variant.answers ? percent(share) : dash));
    const loaded = variant.resident_workers ? `${size(variant.resident_bytes)} in ${variant.resident_workers}` : dash;
    const resident = variant.set_aside ? make("span", { title: variant.set_aside }, "set aside") : loaded;
    return make("tr", { class: variant.answers ? "" : "rest" },
      make("th", { scope: "row" }, make("span", { class: "name" }, make("i", { class: "swatch", style: { color: colour.get(variant.name) } }), variant.name)),
      make("td", { class: "n" }, percent(variant.accuracy)), make("td", { class: "share" }, bar),
      make("td", { class: "n" }, time(variant.mean_ms)), make("td", { class: "n" }, time(variant.start_mean_ms)),
      make("td", { class: `n ${look}` }, isNumber(change) ? `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(0)} %` : dash),
      make("td", { class: "n" }, count(variant.samples)), make("td", { class: "n" }, resident));
  }));
}

// ——— charts ———
// Over the last seconds: sums of one series over sums of another, so that busy seconds count more.
function rolling(part, whole, scale) {
  let a = 0, b = 0;
  return part.map((value, i) => {
    a += value; b += whole[i];
    if (i >= SMOOTH_S) { a -= part[i - SMOOTH_S]; b -= whole[i - SMOOTH_S]; }
    return b > 0 ? scale * a / b : null;
  });
}
function smooth(values) {
  let sum = 0;
  return values.map((value, i) => {
    sum += value - (i >= SMOOTH_S ? values[i - SMOOTH_S] : 0);
    return Math.max(sum, 0) / Math.min(i + 1, SMOOTH_S);
  });
}
function charts(family) {
  const { series } = family, colour = colours(family.variants);
  const names = family.variants.map((variant) => variant.name).filter((name) => series.choices[name]);
  const answers = names.map((name) => ({ name, colour: colour.get(name), values: smooth(series.choices[name]) }));
  const lost = { name: "refused or failed", colour: "var(--refused)", values: smooth(series.shed.map((n, i) => n + series.failed[i])) };
  chart("choices", { title: "Choices", note: "answers per second, by variant; the most accurate at the bottom", wide: true, stacked: true, height: 250, format: count,
    lines: lost.values.some((n) => n > 0) ? [...answers, lost] : answers });
  chart("quality", { title: "In time, and how right", note: "percent, over 5 s", height: 190, top: 100, format: (v) => percent(v), lines: [
    { name: "in time", colour: "var(--good)", values: rolling(series.in_time, series.due, 100) },
    { name: "effective accuracy", colour: "var(--accent)", values: rolling(series.effective, series.offered, 1) }] });
  chart("latency", { title: "Latency", note: "in the service, per second", height: 190, format: time, lines: [
    { name: "p99", colour: "var(--bad)", values: series.p99_ms },
    { name: "median", colour: "var(--accent)", values: series.p50_ms },
    { name: "of it queued, mean", colour: "var(--warn)", values: series.queue_ms }] });
  chart("queue", { title: "Queue", note: "longest that a choice saw, per second", height: 150, whole: true, format: count, lines: [
    { name: "requests", colour: "var(--accent)", values: series.queue_length }] });
  chart("refused", { title: "Not answered", note: "per second", height: 150, format: count, lines: [
    { name: "refused", colour: "var(--warn)", values: smooth(series.shed) },
    { name: "failed", colour: "var(--bad)", values: smooth(series.failed) },
    { name: "caller left", colour: "var(--muted)", values: smooth(series.cancelled) }] });
}
const drawn = new Map();
function chart(key, what) {
  let parts = drawn.get(key);
  if (!parts) {
    const plot = make("div", { class: "plot", tabindex: "0", role: "img" });
    const legend = make("ul", { class: "legend", "aria-hidden": "true" });
    const figure = make("figure", { class: what.wide ? "card wide" : "card", id: `chart-${key}` },
      make("figcaption", {}, make("h2", {}, what.title), make("p", {}, what.note)), legend, plot);
    byId("charts").append(figure);
    parts = { plot, legend };
    drawn.set(key, parts);
    listen(plot);
  }
  parts.what = what;
  render(parts);
}
const LEFT = 52, RIGHT = 4, TOP = 8, BOTTOM = 22;
function render({ plot, legend, what }) {
  const width = Math.max(plot.clientWidth, 200), n = what.lines[0]?.values.length ?? 0;
  const height = what.height + TOP + BOTTOM, floor = TOP + what.height;
  const layers = what.stacked ? stack(what.lines) : what.lines.map((line) => ({ ...line, high: line.values }));
  const peak = Math.max(0, ...layers.flatMap((layer) => layer.high.filter(isNumber)));
  const ticks = scale(what.top ?? peak, what.whole), top = ticks.at(-1);
  const x = (i) => LEFT + (n < 2 ? 1 : i / (n - 1)) * (width - LEFT - RIGHT);
  const y = (value) => floor - value / top * what.height;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" });
  for (const tick of ticks) {
    svg.append(shape("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }),
      shape("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, tick === 0 ? "0" : what.format(tick).replace(".0 %", " %")));
  }
  for (const back of backs(n, width)) {
    const place = x(n - 1 - back);
    svg.append(shape("text", { x: place, y: height - 4, "text-anchor": back ? "middle" : "end" }, back ? `−${back % 60 ? `${back} s` : `${back / 60} min`}` : "now"));
  }
  for (const layer of layers)
    if (what.stacked) svg.append(shape("path", { class: "edge", d: area(layer, x, y), style: { fill: layer.colour } }));
    else svg.append(shape("path", { class: "line", d: path(layer.high, x, y), style: { stroke: layer.colour } }));
  if (!layers.some((layer) => layer.high.some(isNumber)) || (what.stacked && peak === 0))
    svg.append(shape("text", { class: "none", x: LEFT + (width - LEFT) / 2, y: TOP + what.height / 2 }, "nothing yet"));
  const at = cursor === null ? n - 1 : Math.min(Math.max(n - 1 - cursor, 0), n - 1);
  if (cursor !== null) svg.append(shape("line", { class: "cursor", x1: x(at), x2: x(at), y1: TOP, y2: floor }));
  plot.replaceChildren(svg);
  plot.dataset.drawn = "true";
  const items = what.lines.map((line) => make("li", {}, make("i", { class: "swatch", style: { color: line.colour } }),
    make("span", {}, line.name), make("b", {}, isNumber(line.values[at]) ? what.format(line.values[at]) : dash)));
  if (cursor !== null) items.push(make("li", { class: "when" }, `${span(cursor)} ago`));
  legend.replaceChildren(...items);
  plot.setAttribute("aria-label", `${what.title}, ${what.note}. ${cursor === null ? "Now" : `${span(cursor)} ago`}: ` +
    what.lines.map((line) => `${line.name} ${isNumber(line.values[at]) ? what.format(line.values[at]) : "none"}`).join(", "));
}
function stack(lines) {
  let low = lines[0]?.values.map(() => 0) ?? [];
  return lines.map((line) => {
    const layer = { ...line, low, high: line.values.map((value, i) => low[i] + value) };
    low = layer.high;
    return layer;
  });
}
function area({ low, high }, x, y) {
  const points = high.map((value, i) => `${x(i).toFixed(1)} ${y(value).toFixed(1)}`);
  const back = low.map((value, i) => `${x(i).toFixed(1)} ${y(value).toFixed(1)}`).reverse();
  return points.length ? `M${[...points, ...back].join("L")}Z` : "";
}
function path(values, x, y) {
  let text = "", pen = false;
  values.forEach((value, i) => {
    const known = isNumber(value);
    if (known) text += `${pen ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    // A point by itself is a dot.
    if (known && !pen && !isNumber(values[i + 1])) text += "h0.01";
    pen = known;
  });
  return text;
}
// Four or five round numbers from 0 to above the peak.
function scale(peak, whole) {
  if (!(peak > 0)) return [0, 1];
  if (whole && peak <= 5) return Array.from({ length: Math.ceil(peak) + 1 }, (_, i) => i);
  const rough = peak / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((each) => each * power >= rough * 0.999) * power;
  return Array.from({ length: Math.ceil(peak / step * 0.999) + 1 }, (_, i) => +(i * step).toPrecision(6));
}
function backs(n, width) {
  const step = [10, 15, 30, 60, 120].find((each) => (n - 1) / each <= width / 110) ?? 120;
  const places = [];
  for (let back = 0; back <= (n - 1) * 0.96; back += step) places.push(back);
  return places.length ? places : [0];
}
function listen(plot) {
  const point = (back) => { cursor = back; drawn.forEach(render); };
  const length = () => latest?.seconds ?? 1;
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect(), n = length();
    const part = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    point(Math.round((1 - Math.min(Math.max(part, 0), 1)) * (n - 1)));
  });
  plot.addEventListener("pointerleave", () => point(null));
  plot.addEventListener("blur", () => point(null));
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: 1, ArrowRight: -1, PageUp: 30, PageDown: -30 }[event.key];
    if (event.key === "Escape") return point(null);
    if (!step) return;
    event.preventDefault();
    point(Math.min(Math.max((cursor ?? 0) + step, 0), length() - 1));
  });
}
new ResizeObserver(() => drawn.forEach(render)).observe(byId("charts"));
poll();
