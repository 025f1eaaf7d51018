// Gives the page's tables: values by column, unpacked when first asked for, and their texts.
"use strict";
const edgewise = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const read = new Map();

  async function unpacked(block) {
    const packed = Uint8Array.from(atob(block.textContent), (sign) => sign.charCodeAt(0));
    const bytes = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Response(bytes).json();
  }

  // A column's value in a row; texts that repeat are there once, with codes that count in them.
  function open(table) {
    for (const column of table.columns) {
      const { texts, codes, values } = column;
      column.at = codes ? (row) => texts[codes[row]] : (row) => values[row];
    }
    table.by = Object.fromEntries(table.columns.map((column) => [column.name, column]));
    table.object = (row) =>
      Object.fromEntries(table.columns.map((column) => [column.name, column.at(row)]));
    return table;
  }

  // Some rows and columns of a table as a table of its own; `more` are columns beside them.
  function part(table, rows, names, more = []) {
    const columns = names.map((name) => {
      const { texts, codes, values, at, ...column } = table.by[name];
      return { ...column, values: rows.map(at) };
    });
    return open({ rows: rows.length, total: rows.length, columns: [...columns, ...more] });
  }

  // The rows of a table that belong to something, by its place in another table.
  const owned = new Map();
  function rowsOf(table, owner, place) {
    const key = table.by[owner];
    if (!owned.has(key)) {
      const found = new Map();
      for (let row = 0; row < table.rows; row++) {
        const at = key.at(row);
        if (!found.has(at)) found.set(at, []);
        found.get(at).push(row);
      }
      owned.set(key, found);
    }
    return owned.get(key).get(place) ?? [];
  }

  // The table, at once where it lies in the page as it is; undefined until a packed one is read.
  function now(name) {
    if (!read.has(name) && data.tables[name]) read.set(name, open(data.tables[name]));
    return read.get(name);
  }

  const pending = new Map();
  async function table(name) {
    if (now(name)) return now(name);
    if (!pending.has(name)) {
      const block = document.querySelector(`script[data-pack="${CSS.escape(name)}"]`);
      pending.set(name, block ? unpacked(block).then(open) : Promise.resolve(undefined));
    }
    const found = await pending.get(name);
    if (found) read.set(name, found);
    return found;
  }

  const SCALES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const digits = (value, count) => String(Number(value.toPrecision(count)));
  const { format: grouped } = new Intl.NumberFormat("en-US", { maximumFractionDigits: 20 });

  function scaled(value, end, small) {
    const scale = SCALES.find(([size]) => Math.abs(value) >= size);
    return scale ? `${digits(value / scale[0], 3)} ${scale[1]}${end}` : small(value);
  }

  const UNITS = {
    bytes: (value) => scaled(value, "B", () => `${value.toFixed(0)} B`),
    ms: (value) =>
      value < 1 ? `${digits(value * 1000, 3)} µs`
      : value < 1000 ? `${digits(value, 3)} ms` : `${digits(value / 1000, 3)} s`,
    share: (value) => `${(value * 100).toFixed(1)}%`,
    mbps: (value) => `${digits(value, 3)} Mbps`,
    j: (value) =>
      value === 0 || value >= 1 ? `${digits(value, 3)} J`
      : value >= 1e-3 ? `${digits(value * 1e3, 3)} mJ` : `${digits(value * 1e6, 3)} µJ`,
  };

  function count(value) {
    if (Math.abs(value) >= 10000) return scaled(value, "", String);
    return grouped(Number.isInteger(value) ? value : Number(value.toPrecision(4)));
  }

  // A value as people read it, as `numerals.py` writes it.
  function text(column, value) {
    if (value === null || value === undefined) return "–";
    if (typeof value === "number") return (UNITS[column.unit] ?? count)(value);
    if (typeof value === "boolean") return value ? "yes" : "no";
    return Array.isArray(value) ? value.join(", ") : String(value);
  }

  // A spreadsheet must not take a stranger's file name for a formula.
  function field(value) {
    let said = Array.isArray(value) ? value.join(" ") : String(value ?? "");
    if (typeof value === "boolean") said = value ? "True" : "False";
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(said)) said = `'${said}`;
    return /[",\r\n]/.test(said) ? `"${said.replaceAll('"', '""')}"` : said;
  }

  // Rows as a file: CSV with a line of names first, or JSON objects.
  function csv(table, rows) {
    const lines = [table.columns.map((column) => field(column.name)).join(",")];
    for (const row of rows) lines.push(table.columns.map((c) => field(c.at(row))).join(","));
    return lines.join("\r\n") + "\r\n";
  }
  const json = (table, rows) => JSON.stringify(Array.from(rows, table.object));

  // Nothing is fetched, nothing is sent: the browser writes what the page holds to a file.
  function save(name, content, type) {
    const link = document.createElement("a");
    link.download = name;
    link.href = content.startsWith("data:")
      ? content : URL.createObjectURL(new Blob([content], { type }));
    link.click();
    if (link.href.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function make(tag, properties = {}, ...inside) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...inside);
    return element;
  }

  const slug = (title) => title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  // What can wait until the page is there.
  const later = (work) =>
    window.requestIdleCallback ? requestIdleCallback(work, { timeout: 400 }) : setTimeout(work, 30);
  const rested = () => new Promise(later);

  // Says how far the page is: `ready` to be read, `complete` with all that was left for later.
  function mark(state) {
    document.body.dataset[state] = "true";
    performance.mark(state);
  }

  return { mark, part, rowsOf, data, now, table, text, csv, json, save, make, slug, later, rested };
})();
