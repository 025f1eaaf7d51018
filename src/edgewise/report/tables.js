// Tables that sort, filter and turn over; the page shows the first rows before this script runs.
"use strict";
(() => {
  const { make, text } = edgewise;
  const SIZES = [25, 100, 500];
  // A table that fits on one page is printed; a longer one where a reader asks for every table.
  const PRINTED = 40;
  const CROWDED = 11; // columns: of more, words are broken on paper
  let every = false;
  // A table of fewer rows is seen whole: nothing to look for. More categories than these are no choice.
  const FILTERED_FROM = 12;
  const CATEGORIES = 30;
  const language = new Intl.Collator("en", { numeric: true });
  const many = (count, what) => `${count.toLocaleString("en-US")} ${what}${count === 1 ? "" : "s"}`;

  class View {
    constructor(place, table) {
      this.place = place;
      this.table = table;
      this.title = place.dataset.title;
      this.body = place.querySelector("tbody");
      this.headings = [...place.querySelectorAll("th")];
      this.order = Array.from({ length: table.rows }, (_, row) => row);
      this.sorted = this.order;
      this.shown = this.order;
      this.chosen = new Map();
      this.asked = "";
      this.start = 0;
      this.size = SIZES[0];
      this.build();
      this.count();
    }

    build() {
      this.headings.forEach((heading, column) => {
        const button = make("button", { type: "button" }, ...heading.childNodes);
        button.addEventListener("click", () => this.sort(heading, column));
        heading.append(button);
      });
      this.said = make("p", { className: "said" });
      this.said.setAttribute("role", "status");
      const offer = make("p", { className: "save" });
      for (const [kind, type] of [["CSV", "text/csv"], ["JSON", "application/json"]]) {
        const button = make("button", { type: "button" }, kind);
        button.setAttribute("aria-label", `Download ${this.title} as ${kind}: the rows that are asked for`);
        button.addEventListener("click", () => this.download(kind.toLowerCase(), type));
        offer.append(button, " ");
      }
      this.place.querySelector(".more")?.remove();
      this.place.querySelector(".scroll").after(make("div", { className: "turn" }, this.said, this.pager(), offer));
      if (this.table.rows >= FILTERED_FROM) this.place.querySelector(".scroll").before(this.filters());
    }

    pager() {
      const turn = (label, by) => {
        const button = make("button", { type: "button" }, label);
        button.addEventListener("click", () => this.turn(by));
        return button;
      };
      [this.before, this.after] = [turn("‹ Previous", -1), turn("Next ›", 1)];
      const sizes = make("select", {}, ...SIZES.map((size) => make("option", { value: size }, String(size))));
      sizes.addEventListener("change", () => {
        this.size = Number(sizes.value);
        this.start = 0;
        this.show();
      });
      const pager = make("p", { className: "pager" }, this.before, " ", this.after, " ",
        make("label", {}, "rows ", sizes));
      pager.hidden = this.table.rows <= SIZES[0];
      return pager;
    }

    filters() {
      const search = make("input", { type: "search", placeholder: "Filter the rows" });
      search.setAttribute("aria-label", `Filter the rows of ${this.title}`);
      search.addEventListener("input", () => {
        this.asked = search.value.trim().toLowerCase();
        this.filter();
      });
      const filters = make("div", { className: "filters" }, search);
      for (const column of this.table.columns) {
        const values = categories(column);
        if (!values) continue;
        const choose = make("select", {}, make("option", { value: "" }, "all"),
          ...values.map((value, place) => make("option", { value: place }, text(column, value))));
        choose.addEventListener("change", () => {
          if (choose.value === "") this.chosen.delete(column);
          else this.chosen.set(column, values[Number(choose.value)]);
          this.filter();
        });
        filters.append(make("label", {}, `${column.heading} `, choose));
      }
      return filters;
    }

    // What a row says, in small letters: made when a reader first looks for something.
    words(row) {
      this.said_by ??= new Array(this.table.rows);
      return (this.said_by[row] ??= this.table.columns
        .map((column) => column.at(row)).join("\n").toLowerCase());
    }

    filter() {
      const chosen = [...this.chosen];
      this.shown = this.asked || chosen.length
        ? this.sorted.filter((row) =>
            chosen.every(([column, value]) => column.at(row) === value) &&
            (!this.asked || this.words(row).includes(this.asked)))
        : this.sorted;
      this.start = 0;
      document.body.dataset.touched = "true";
      this.show();
    }

    sort(heading, place) {
      const column = this.table.columns[place];
      const down = heading.getAttribute("aria-sort") === "ascending";
      const key = keys(column);
      const known = this.order.filter((row) => key(row) !== null);
      const unknown = this.order.filter((row) => key(row) === null);
      known.sort((a, b) => (down ? key(b) - key(a) : key(a) - key(b)) || a - b);
      this.sorted = [...known, ...unknown];
      for (const other of this.headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      this.filter();
    }

    turn(by) {
      this.start = Math.max(0, Math.min(this.start + by * this.size, this.shown.length - 1));
      this.start -= this.start % this.size;
      this.show();
      this.place.querySelector(".scroll").scrollTop = 0;
    }

    show(first = this.start, rows = this.size, counted = true) {
      this.body.replaceChildren(...this.shown.slice(first, first + rows).map((row) => this.line(row)));
      if (counted) this.count();
    }

    line(row) {
      return make("tr", {}, ...this.table.columns.map((column, place) => {
        const value = column.at(row);
        const cell = make("td", { className: column.number ? "n" : column.long ? "w" : "" });
        if (this.off?.[place]) cell.classList.add("same");
        const said = text(column, value);
        const to = column.link && value !== null && !column.unlinked?.includes(value);
        cell.append(to ? make("a", { href: `#${column.link}/${encodeURIComponent(value)}` }, said) : said);
        return cell;
      }));
    }

    count() {
      const [from, shown, all] = [this.start, this.shown.length, this.table.rows];
      const beyond = this.table.total - all;
      const to = Math.min(from + this.size, shown);
      const part = shown > this.size ? `${(from + 1).toLocaleString("en-US")} to ${to.toLocaleString("en-US")} of ` : "";
      this.said.textContent = part + many(shown, "row") + (shown < all ? `, of ${all.toLocaleString("en-US")}` : "") +
        (beyond ? `; ${many(beyond, "more row")} ${beyond === 1 ? "is" : "are"} left out here` : "");
      this.before.disabled = from === 0;
      this.after.disabled = to >= shown;
    }

    download(kind, type) {
      edgewise.save(`${edgewise.slug(this.title)}.${kind}`, edgewise[kind](this.table, this.shown), type);
    }

    // Whole or not at all: half a table on paper helps nobody. What all rows say is said once.
    print() {
      const whole = every || this.shown.length <= PRINTED;
      this.place.classList.toggle("unprinted", !whole);
      const count = many(this.shown.length, "row");
      this.said.textContent = whole ? [count, ...this.alike()].join(" · ")
        : `${count}: too many for paper, in the file, which also prints them (“Print with every table”).`;
      if (whole) this.show(0, this.shown.length, false);
    }

    // Columns that say nothing or the same in all rows stay off the paper, which is narrow.
    alike() {
      const said = [];
      this.off = this.table.columns.map((column, place) => {
        const values = new Set(this.shown.map((row) => text(column, column.at(row))));
        const off = place > 0 && this.shown.length > 1 && values.size === 1;
        const [value] = values;
        if (off && value !== "–") said.push(`all: ${column.heading} ${value}`);
        return off;
      });
      this.headings.forEach((heading, place) => heading.classList.toggle("same", this.off[place]));
      this.place.classList.toggle("crowded", this.off.filter((off) => !off).length > CROWDED);
      return said;
    }
  }

  // The values that a reader may choose among: texts that repeat, and not many of them.
  function categories(column) {
    if (column.number || column.link) return null;
    const all = column.texts ?? column.values;
    const values = [...new Set(all)].filter((value) => typeof value === "string");
    const repeated = column.codes ?? column.values;
    if (values.length < 2 || values.length > Math.min(CATEGORIES, repeated.length / 2)) return null;
    return values.sort(language.compare);
  }

  // A number for each row by which it sorts, null where its value is not known.
  function keys(column) {
    if (column.number) return column.at;
    const said = (value) => (value === null ? null : text(column, value));
    if (!column.codes) {
      const texts = column.values.map(said);
      const ranks = ranked(texts);
      return (row) => ranks.get(texts[row]);
    }
    const ranks = ranked(column.texts.map(said));
    const codes = column.texts.map((value) => ranks.get(said(value)));
    return (row) => codes[column.codes[row]];
  }

  function ranked(texts) {
    const known = [...new Set(texts)].filter((each) => each !== null).sort(language.compare);
    return new Map([[null, null], ...known.map((each, rank) => [each, rank])]);
  }

  const views = new Map();
  function view(place) {
    if (views.has(place)) return views.get(place);
    const table = edgewise.now(place.dataset.table);
    if (table) views.set(place, new View(place, table));
    return views.get(place);
  }

  async function follow(place) {
    await edgewise.table(place.dataset.table);
    view(place);
  }

  // Tables that are seen come first; those behind a summary when it is opened, or printed.
  const places = [...document.querySelectorAll("[data-table]")];
  const hidden = (place) => place.closest("details:not([open])");
  for (const place of places) {
    if (!hidden(place)) view(place);
    place.closest("details")?.addEventListener("toggle", () => follow(place));
  }

  // A table that the page did not have: its frame, and what makes it work.
  edgewise.place = (title, table) => {
    const heads = table.columns.map((column) =>
      make("th", { scope: "col", className: column.number ? "n" : column.long ? "w" : "" }, column.heading));
    const scroll = make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `${title}: numbers` },
      make("table", {}, make("caption", {}, title), make("thead", {}, make("tr", {}, ...heads)), make("tbody")));
    const place = make("div", { className: "rows" }, scroll);
    place.dataset.table = place.dataset.title = title;
    views.set(place, new View(place, table));
    views.get(place).show();
    return place;
  };
  edgewise.forget = (place) => views.delete(place);

  edgewise.unpacked = (async () => {
    for (const place of places) {
      await edgewise.rested();
      if (hidden(place)) await edgewise.table(place.dataset.table);
      else await follow(place);
    }
  })();

  // On paper a figure stands for its numbers, unless every table is asked for.
  let opened = [];
  addEventListener("beforeprint", () => {
    document.body.classList.toggle("every-table", every);
    opened = every ? [...document.querySelectorAll("details:not([open]):not(.sql)")] : [];
    for (const each of opened) each.open = true;
    for (const place of document.querySelectorAll("[data-table]")) view(place)?.print();
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
    for (const [place, each] of views) if (place.isConnected) each.show();
    every = false;
  });
  const offer = make("p", { className: "save" });
  for (const [label, all] of [["Print", false], ["Print with every table", true]]) {
    const button = make("button", { type: "button" }, label);
    button.addEventListener("click", async () => {
      if (all) await edgewise.unpacked;
      every = all;
      print();
    });
    offer.append(button, " ");
  }
  document.querySelector("header").append(offer);
  if (!edgewise.data.draws) edgewise.unpacked.then(() => edgewise.mark("complete"));
})();
