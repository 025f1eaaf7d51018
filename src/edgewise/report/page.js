// Draws the charts, in the colours of the reader's theme and the width of their window: those that
// are seen first, the others while nothing else is to be done.
"use strict";
(() => {
  const { themes, charts } = edgewise.data;
  const PAPER = 660;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // A chart's specification with the rows that it draws; a figure's table has them all.
  async function whole(id) {
    const { spec, table, rows, every } = charts[id];
    const { object } = await edgewise.table(table);
    return { ...spec, data: { values: Array.from({ length: rows }, (_, row) => object(row * every)) } };
  }

  // The longest label of a chart's colours, in characters; charts that compute theirs have short ones.
  function longestLabel(spec) {
    const encoding = spec.encoding?.color ? spec.encoding : spec.layer?.at(-1).encoding;
    const values = spec.data.values.map((row) => String(row[encoding?.color?.field] ?? ""));
    const labels = [...values, ...(encoding?.color?.scale?.domain ?? []).map(String)];
    return labels.reduce((longest, label) => Math.max(longest, label.length), 12);
  }

  function fitted(config, spec, width) {
    const labels = Math.max(90, Math.round(width * 0.33)); // beside the plot
    const column = longestLabel(spec) * 6.6 + 36;
    return {
      ...config,
      axisY: { ...config.axisY, labelLimit: labels },
      legend: {
        ...config.legend,
        columns: Math.max(1, Math.floor((width - labels) / column)),
        labelLimit: width - labels - 40,
      },
    };
  }

  // Vega takes a moment to start: it does when there is something to draw, not before tables work.
  function started() {
    if (window.vegaEmbed) return;
    const vega = document.getElementById("vega");
    document.head.append(edgewise.make("script", { textContent: vega.textContent }));
    vega.remove();
  }

  async function drawIn(place, spec) {
    started();
    const theme = dark.matches ? "dark" : "light";
    const { view } = await vegaEmbed(place, spec, {
      actions: false,
      ast: true, // no `eval`: the page's policy forbids it
      config: fitted(themes[theme], spec, place.clientWidth),
      renderer: "svg",
      tooltip: { theme },
    });
    place.dataset.drawn = "true";
    place.view = view;
    place.dispatchEvent(new Event("drawn"));
  }

  const draw = async (id) => drawIn(document.getElementById(id), await whole(id));

  // A chart as it is on paper, which is light and of one width.
  async function paperIn(place, spec) {
    started();
    const shaped = { ...spec, width: PAPER, autosize: { type: "fit", contains: "padding" } };
    const config = { ...fitted(themes.light, shaped, PAPER), background: "#fff" };
    const options = { actions: false, ast: true, config, renderer: "svg", tooltip: false };
    return (await vegaEmbed(place, shaped, options)).view;
  }

  const SAVED = {
    PNG: (view) => view.toImageURL("png", 3),
    SVG: async (view) => "data:image/svg+xml;charset=utf-8," + encodeURIComponent(await view.toSVG()),
  };

  async function save(figure, kind, spec) {
    const title = figure.querySelector("h3").textContent;
    const view = await paperIn(document.createElement("div"), spec);
    edgewise.save(`${edgewise.slug(title) || "chart"}.${kind.toLowerCase()}`, await SAVED[kind](view));
  }

  function offerToSave(place, whole) {
    const offer = edgewise.make("p", { className: "save" }, "Save the chart: ");
    for (const kind of Object.keys(SAVED)) {
      const button = edgewise.make("button", { type: "button" }, kind);
      button.addEventListener("click", async () => save(place.closest("figure"), kind, await whole()));
      offer.append(button, " ");
    }
    place.after(offer);
  }

  // A chart that the page did not have, of rows that a script picked; with its copy for paper.
  let added;
  edgewise.chart = async (place, spec) => {
    added = { place, spec };
    const copy = edgewise.make("div", { className: "paper" });
    offerToSave(place, async () => spec);
    place.after(copy);
    await drawIn(place, spec);
    await paperIn(copy, spec);
    copy.className = "paper"; // it is `vegaEmbed` that gives it another
  };

  // One at a time, the seen ones before the others.
  const waiting = new Set();
  let seen = new Set();
  let drawing;
  async function drawWaiting() {
    while (waiting.size) {
      const id = [...waiting].find((each) => seen.has(each)) ?? waiting.values().next().value;
      waiting.delete(id);
      if (!seen.has(id)) await edgewise.rested();
      await draw(id);
    }
    drawing = undefined;
  }

  const inSight = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
  }, { rootMargin: "400px" });

  function drawAgain(ids) {
    for (const id of ids) waiting.add(id);
    return (drawing ??= drawWaiting());
  }

  const ids = Object.keys(charts);
  function again() {
    if (added?.place.isConnected) drawIn(added.place, added.spec);
    drawAgain(ids);
  }
  let width = innerWidth;
  let resized;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // phones resize as their toolbars come and go
    width = innerWidth;
    clearTimeout(resized);
    resized = setTimeout(again, 150);
  });
  dark.addEventListener("change", again);

  for (const id of ids) offerToSave(document.getElementById(id), () => whole(id));
  for (const id of ids) {
    const { top, bottom } = document.getElementById(id).getBoundingClientRect();
    if (bottom > 0 && top < innerHeight) seen.add(id);
    inSight.observe(document.getElementById(id));
  }
  (async () => {
    for (const id of seen) await draw(id);
    edgewise.mark("ready");
    await edgewise.rested();
    await drawAgain(ids.filter((id) => !document.getElementById(id).dataset.drawn));
    await edgewise.unpacked;
    edgewise.mark("complete");
  })();
})();
