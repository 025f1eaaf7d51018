// One app's page and one model's page: `#app/PACKAGE` and `#model/SHA-256` in the page's address.
"use strict";
(() => {
  const { make, part, rowsOf, text } = edgewise;
  const { subjects, only } = edgewise.data;
  const place = document.getElementById("subject");
  const named = document.title;
  const hex = (said) => /^[0-9a-f]{6,64}$/i.test(said);
  const many = (count, what) => `${count.toLocaleString("en-US")} ${what}${count === 1 ? "" : "s"}`;

  async function opened() {
    const tables = await Promise.all(subjects.tables.map((name) => edgewise.table(name)));
    return Object.fromEntries(subjects.tables.map((name, at) => [name, tables[at]]));
  }

  // The place of what is asked for: by its hash or the start of it, or by what it is called.
  function find(table, columns, said) {
    const is = (column) => (row) => table.by[column].at(row) === said;
    const begins = (row) => table.by.sha256.at(row)?.startsWith(said.toLowerCase());
    const ways = [...columns.map(is), ...(hex(said) ? [begins] : [])];
    for (const way of ways) {
      const found = [];
      for (let row = 0; row < table.rows; row++) if (way(row)) found.push(row);
      if (found.length) return found;
    }
    return [];
  }

  const tile = (label, value, detail = "") =>
    make("div", {}, make("dt", {}, label), make("dd", {}, make("b", {}, value), make("span", {}, detail)));

  // Facts as a list: those that are not known are not there.
  function facts(table, row, names) {
    const list = make("dl", { className: "known" });
    for (const name of names) {
      const column = table.by[name];
      const value = column.at(row);
      if (value === null || value === "" || value?.length === 0) continue;
      const values = Array.isArray(value) ? value : [value];
      list.append(make("dt", {}, column.heading),
        ...values.map((each) => make("dd", {}, text(column, each))));
    }
    return list;
  }

  function card(title, table, note = "") {
    if (!table.rows) return "";
    table.columns = table.columns.filter(({ at }) => {
      for (let row = 0; row < table.rows; row++) if (![null, ""].includes(at(row))) return true;
      return false; // nothing known in any row
    });
    return make("div", { className: "card" }, make("h3", {}, title),
      ...(note ? [make("p", {}, note)] : []), edgewise.place(title, table));
  }

  const missing = (table, what) => (table.total > table.rows
    ? `This file has ${many(table.rows, "row")} of ${what}; the store has ${table.total.toLocaleString("en-US")}.` : "");
  const link = (kind, heading, values) =>
    ({ name: kind, heading, link: kind, values, unlinked: [] });

  // The fastest run of a model at one item a call: what an app's page says that it costs.
  function fastest(all, file) {
    const { p50_ms: ms, device, target, status } = all.measured.by;
    const rows = rowsOf(all.measured, "file", file).filter((row) => status.at(row) === "ok" && ms.at(row) !== null);
    const best = rows.sort((a, b) => ms.at(a) - ms.at(b))[0];
    return best === undefined ? null : { ms: ms.at(best), on: `${target.at(best)}, ${device.at(best)}` };
  }

  function app(all, row, others) {
    const { apps, files, held, evidence } = all;
    const { by } = apps;
    const mine = rowsOf(held, "app", row);
    const places = mine.map((each) => held.by.file.at(each));
    const known = places.filter((file) => files.by.status.at(file) === "parsed");
    const sum = (name, of) => of.reduce((total, file) => total + (files.by[name].at(file) ?? 0), 0);
    const costs = places.map((file) => fastest(all, file));
    const bytes = sum("size_bytes", known);
    const size = by.size_bytes.at(row);
    const unknown = known.filter((file) => files.by.macs.at(file) === null).length;
    const columns = (...names) => part(files, places, names).columns;
    const models = part(held, mine, [], [
      link("model", "model", places.map(files.by.model.at)),
      ...columns("format", "status", "size_bytes", "parameters", "macs"),
      { name: "fastest_ms", heading: "measured, fastest", number: true, unit: "ms", values: costs.map((cost) => cost?.ms ?? null) },
      { name: "measured_on", heading: "measured on", long: true, values: costs.map((cost) => cost?.on ?? null) },
      ...columns("quantization", "task"),
      ...part(held, mine, ["reach", "path"]).columns,
      ...columns("reason"),
    ]);
    const found = rowsOf(evidence, "app", row);
    const versions = others.length > 1
      ? card("Versions in this store", part(apps, others, ["version_name", "version_code", "size_bytes", "candidates"],
          [{ name: "sha256", heading: "SHA-256", link: "app", values: others.map((each) => by.sha256.at(each) ?? by.app.at(each)) }])) : "";
    return {
      title: by.app.at(row),
      lead: [by.package.at(row), by.version_name.at(row) && `version ${by.version_name.at(row)}`, by.kind.at(row)]
        .filter(Boolean).join(" · "),
      address: others.length > 1 ? by.sha256.at(row) : by.package.at(row) ?? by.sha256.at(row) ?? by.app.at(row),
      tiles: [
        tile("models", String(known.length), `of ${many(places.length, "candidate")}`),
        tile("bytes of models", text(files.by.size_bytes, bytes), size ? `${((100 * bytes) / size).toFixed(1)}% of the package` : ""),
        tile("multiply-accumulates", known.length ? text(files.by.macs, sum("macs", known)) : "–",
          unknown ? `without ${unknown} whose count is not known` : "one inference of each"),
        tile("entries examined", text(by.entries, by.examined.at(row)), `of ${text(by.entries, by.entries.at(row))}`),
      ],
      parts: [
        facts(apps, row, ["error", "version_code", "size_bytes", "min_sdk", "target_sdk", "sha256", "path", "listing", "notes"]),
        card("Models", models, "Measured: the median of the fastest run that the store has, of one file or of the same file elsewhere."),
        card("What its code uses", part(evidence, found, ["kind", "name", "grade", "reach", "owner", "where", "detail"]),
          ["Grade: how sure it is. Reach: whether code gets to it. Owner: whose code that is.", missing(evidence, "evidence")].join(" ")),
        versions,
      ],
    };
  }

  // Time of a layer by the runtime's own profiler, where its name is the layer's.
  function timed(all, file, names) {
    const rows = rowsOf(all.times, "file", file);
    if (!rows.length) return [];
    const { layer, mean_ms: ms } = all.times.by;
    const best = new Map();
    for (const row of rows) {
      const before = best.get(layer.at(row));
      if (before === undefined || ms.at(row) < before) best.set(layer.at(row), ms.at(row));
    }
    const values = names.map((name) => best.get(name) ?? null);
    if (values.every((value) => value === null)) return [];
    return [{ name: "measured_ms", heading: "measured", number: true, unit: "ms", values }];
  }

  function layers(all, file, title) {
    const rows = rowsOf(all.layers, "file", file);
    if (!rows.length) {
      const [here, of] = subjects.layered;
      const count = all.files.by.layers.at(file);
      return [count ? make("div", { className: "card" }, make("h3", {}, "Layers"), make("p", {},
        `Its ${many(count, "layer")} are not in this file, which has those of ${here.toLocaleString("en-US")} of ` +
        `${many(of, "model")}: the measured and the most used. This one's: `,
        make("code", {}, `edgewise report STORE --model ${all.files.by.sha256.at(file)}`), ".")) : ""];
    }
    const names = rows.map(all.layers.by.name.at);
    const table = part(all.layers, rows,
      ["index", "name", "op", "kind", "output", "dtype", "macs", "parameters", "weight_bytes", "output_bytes"],
      timed(all, file, names));
    const figure = make("figure", { className: "card" },
      make("figcaption", {}, make("h3", {}, "Work by layer"),
        make("p", {}, "Multiply-accumulates of each layer in the file's order, by what the layer does.")));
    const chart = make("div", { className: "chart" });
    chart.setAttribute("role", "img");
    const values = rows.map(all.layers.object);
    for (const each of values) each.family = subjects.families[each.kind] ?? subjects.rest;
    const most = values.reduce((a, b) => ((b.macs ?? 0) > (a.macs ?? 0) ? b : a));
    chart.setAttribute("aria-label",
      `Bars of multiply-accumulates of ${many(rows.length, "layer")} of ${title}; the most are in ${most.name || most.op}.`);
    figure.append(chart, make("p", { className: "facts" }, `n: ${many(rows.length, "layer")} · unit: multiply-accumulates · origin: computed from the file`));
    return [
      values.some((each) => each.macs > 0) ? figure : "",
      card("Layers", table),
      () => figure.isConnected && edgewise.chart?.(chart, { ...subjects.chart, data: { values } }),
    ];
  }

  // How to look at its graph: nothing is asked of anybody until a reader does so.
  function netron(all, file, found) {
    const { by } = all.files;
    const sha = by.sha256.at(file);
    const lies = by.path.at(file);
    const inside = found.length
      ? [all.apps.by.path.at(all.held.by.app.at(found[0])), all.held.by.path.at(found[0])] : [];
    const quoted = (said) => `'${said.replaceAll("'", "'\\''")}'`;
    const name = (lies ?? inside[1] ?? "").split("/").at(-1);
    const lines = lies ? [`netron ${quoted(lies)}`] : inside[0] && !inside[1].includes("!/")
      ? [`unzip -p ${quoted(inside[0])} ${quoted(inside[1])} > ${quoted(name)}`, `netron ${quoted(name)}`] : [];
    const parts = [make("h3", {}, "Its graph in Netron")];
    if (subjects.live && sha) {
      const offers = [make("a", { href: `model/${sha}`, download: name || sha }, "Download the file")];
      if (subjects.live.netron) offers.push(" · ", make("a", { href: `netron/${sha}`, target: "_blank", rel: "noopener" }, "Open in Netron"));
      parts.push(make("p", {}, ...offers, subjects.live.netron ? "" : " and open it in Netron (pip install netron), or drop it on netron.app."));
    }
    if (lines.length) parts.push(make("pre", {}, lines.join("\n")));
    if (!lines.length && !subjects.live) parts.push(make("p", {}, "It lies inside a package inside a package: unpack it, and open it in Netron."));
    return make("div", { className: "card" }, ...parts);
  }

  function model(all, row) {
    const { files, held, apps } = all;
    const { by } = files;
    const found = rowsOf(held, "file", row);
    const owners = found.map((each) => apps.by.app.at(held.by.app.at(each)));
    const title = by.model.at(row);
    const number = (name, label, detail = "") => tile(label, text(by[name], by[name].at(row)), detail);
    const measured = rowsOf(all.measured, "file", row);
    const [figure, table, draw] = layers(all, row, title);
    const print = by.fingerprint.at(row);
    const kin = rowsOf(all.related, "file", row);
    const relatives = kin.map(all.related.by.model.at);
    const names = new Set(kin.length ? by.model.texts ?? by.model.values : []);
    const plan = by.alike.at(row);
    const built = plan === null ? [] : rowsOf(files, "alike", plan)
      .filter((each) => each !== row && !relatives.includes(by.model.at(each)));
    const alike = print === null ? [] : rowsOf(files, "fingerprint", print).filter((each) => each !== row);
    return {
      title,
      lead: [by.format.at(row), by.status.at(row).replace("_", " "), by.reason.at(row), by.task.at(row), by.architecture.at(row)]
        .filter(Boolean).join(" · "),
      address: by.sha256.at(row) ?? title,
      tiles: [
        number("size_bytes", "file"), number("parameters", "parameters"), number("macs", "multiply-accumulates"),
        number("peak_activation_bytes", "peak of activations"),
        number("weight_bytes", "weights", [by.quantization.at(row) && `quantisation: ${by.quantization.at(row)}`, by.weight_dtypes.at(row)?.join(", ")].filter(Boolean).join("; ")),
        tile("apps that ship it", new Set(owners).size.toLocaleString("en-US"), `${many(found.length, "copy").replace("copys", "copies")} in them`),
      ],
      parts: [
        facts(files, row, ["sha256", "path", "name", "producer", "modality", "confidence_share", "layers", "macs_formula",
          "flops", "zeros_share", "inputs", "outputs", "delegates", "notes"]),
        card("Measurements", part(all.measured, measured, ["device", "target", "status", "p50_ms", "low_ms", "high_ms", "p90_ms",
          "load_ms", "first_ms", "peak_memory_bytes", "inference_j", "runs", "stability", "origin", "measured_on", "reason"]),
          "Medians with their 95 % intervals, of the time of one call."),
        figure ?? "", table ?? "",
        card("Layers by the runtime's own profiler", part(all.times, rowsOf(all.times, "file", row),
          ["device", "target", "layer", "op", "mean_ms", "of_all_share"])),
        card("Accuracy", part(all.accuracies, rowsOf(all.accuracies, "file", row), ["accuracy", "from_percent", "to_percent", "inputs", "data", "runtime", "error"])),
        card("Where it should run", part(all.placed, rowsOf(all.placed, "file", row), ["device", "server", "link", "connection",
          "faster", "device_ms", "cloud_ms", "time_ratio", "device_j", "cloud_j", "spares_battery", "reason"])),
        card("Found in", part(held, found, ["path", "reach"], [link("app", "app", owners)])),
        card("What it is of other models", part(all.related, kin, [], [
          { ...link("model", "model", relatives), unlinked: relatives.filter((each) => !names.has(each)) },
          ...part(all.related, kin, ["this_one", "shared_weights_share", "layers_differing", "format", "quantization",
            "size_bytes", "in_apps", "notes"]).columns]),
          "By their weights, as lineage compares them, where the store keeps them (scan --weights)."),
        card("The same layers in other files", part(files, built, ["format", "size_bytes", "quantization"],
          [link("model", "model", built.map(by.model.at))]),
          "Kinds and sizes of the layers with weights, in order: converted, retrained or quantised from one another, " +
          "or only built after the same plan."),
        card("The same weights in other files", part(files, alike, ["format", "size_bytes", "quantization"],
          [link("model", "model", alike.map(by.model.at))])),
        netron(all, row, found),
      ],
      draw,
    };
  }

  // A file of one app or model alone has it, whatever it was asked for by.
  const whole = (table, rows) =>
    (only && !rows.length ? Array.from({ length: table.rows }, (_, row) => row) : rows);

  const KINDS = {
    app: (all, said) => {
      const rows = whole(all.apps, find(all.apps, ["package", "sha256", "app"], said));
      const newest = [...rows].sort((a, b) => (all.apps.by.version_code.at(b) ?? 0) - (all.apps.by.version_code.at(a) ?? 0));
      const same = rows.length && all.apps.by.package.at(rows[0]) !== null ? find(all.apps, ["package"], all.apps.by.package.at(rows[0])) : rows;
      return rows.length ? app(all, newest[0], same) : null;
    },
    model: (all, said) => {
      const rows = whole(all.files, find(all.files, ["sha256", "model"], said));
      return rows.length ? model(all, rows[0]) : null;
    },
  };

  function close() {
    if (!document.body.dataset.subject) return;
    delete document.body.dataset.subject;
    document.title = named;
    place.replaceChildren();
    document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
  }

  function show(subject, said) {
    place.querySelectorAll("[data-table]").forEach(edgewise.forget);
    const title = make("h2", { tabIndex: -1, id: "subject-title" }, subject?.title ?? "Not in this report");
    const back = make("p", { className: "back" });
    if (!only) back.append(make("a", { href: "#" }, "‹ The whole report"));
    const lead = make("p", { className: "lead" }, subject?.lead ?? `Nothing here is called “${said}”.`);
    place.replaceChildren(back, title, lead);
    if (subject) place.append(make("dl", { className: "tiles" }, ...subject.tiles), ...subject.parts);
    document.body.dataset.subject = "true";
    document.title = `${title.textContent} · Edgewise`;
    if (!only) {
      scrollTo(0, 0);
      title.focus({ preventScroll: true });
    }
  }

  let asked = 0;
  async function route() {
    const [, kind, said] = /^#(app|model)\/(.+)$/.exec(only ?? location.hash) ?? [];
    if (!kind) return close();
    const mine = ++asked;
    const all = await opened();
    if (mine !== asked) return;
    const name = decodeURIComponent(said);
    const subject = KINDS[kind](all, name);
    show(subject, name);
    if (subject && !only) history.replaceState(null, "", `#${kind}/${encodeURIComponent(subject.address)}`);
    await subject?.draw?.();
    edgewise.mark("subject");
  }
  addEventListener("hashchange", route);
  route();
  edgewise.unpacked.then(opened);
})();
