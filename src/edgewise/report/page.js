// Draws the charts, in the colours of the reader's theme and the width of their window.
"use strict";
(() => {
  const { themes, specs } = JSON.parse(document.getElementById("data").textContent);
  const PAPER = 660;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // The longest label of a chart's colours, in characters; charts that compute theirs have short ones.
  function longestLabel(spec) {
    const encoding = spec.encoding?.color ? spec.encoding : spec.layer?.at(-1).encoding;
    const labels = spec.data.values.map((row) => String(row[encoding?.color?.field] ?? ""));
    return Math.max(12, ...labels.map((label) => label.length));
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

  async function draw(id) {
    const place = document.getElementById(id);
    const theme = dark.matches ? "dark" : "light";
    const config = fitted(themes[theme], specs[id], place.clientWidth);
    const { view } = await vegaEmbed(place, specs[id], {
      actions: false,
      ast: true, // no `eval`: the page's policy forbids it
      config,
      renderer: "svg",
      tooltip: { theme },
    });
    place.dataset.drawn = "true";
    place.view = view;
    place.dispatchEvent(new Event("drawn"));
  }

  // Paper is light and of one width: each chart has a copy for it, since printing does not wait.
  async function drawForPaper(id) {
    const shape = { width: PAPER, autosize: { type: "fit", contains: "padding" } };
    const place = document.createElement("div");
    const config = { ...fitted(themes.light, specs[id], PAPER), background: "#fff" };
    const options = { actions: false, ast: true, config, renderer: "svg", tooltip: false };
    const { view } = await vegaEmbed(place, { ...specs[id], ...shape }, options);
    place.className = "paper";
    document.getElementById(id).after(place);
    return view;
  }

  const papers = new Map();
  function paper(id) {
    if (!papers.has(id)) papers.set(id, drawForPaper(id));
    return papers.get(id);
  }

  // A file of a chart as it is on paper, in a `data:` URL: nothing is fetched, nothing is sent.
  const SAVED = {
    PNG: (view) => view.toImageURL("png", 3),
    SVG: async (view) => "data:image/svg+xml;charset=utf-8," + encodeURIComponent(await view.toSVG()),
  };

  async function save(id, kind) {
    const link = document.createElement("a");
    const title = document.getElementById(id).closest("figure").querySelector("h3").textContent;
    const name = title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
    link.download = `${name || id}.${kind.toLowerCase()}`;
    link.href = await SAVED[kind](await paper(id));
    link.click();
  }

  function offerToSave(id) {
    const offer = document.createElement("p");
    offer.className = "save";
    offer.append("Save the chart: ");
    for (const kind of Object.keys(SAVED)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = kind;
      button.addEventListener("click", () => save(id, kind));
      offer.append(button, " ");
    }
    document.getElementById(id).after(offer);
  }

  const drawAll = () => Promise.all(Object.keys(specs).map(draw));

  let width = innerWidth;
  let waiting;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // phones resize as their toolbars come and go
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
  dark.addEventListener("change", drawAll);
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open]):not(.sql)")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
  });
  Object.keys(specs).forEach(offerToSave);
  drawAll()
    .then(() => Promise.all(Object.keys(specs).map(paper)))
    .then(() => (document.body.dataset.paper = "true"));
})();
