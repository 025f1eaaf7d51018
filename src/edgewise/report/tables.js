// Sorts a table by a click on its heading: first upwards, then downwards; what is unknown stays last.
"use strict";
(() => {
  const language = new Intl.Collator("en", { numeric: true });

  // A number cell carries its value beside the text with a unit; other cells are their text.
  function key(row, place) {
    const cell = row.cells[place];
    if (cell.classList.contains("n")) return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
    return cell.textContent === "–" ? null : cell.textContent;
  }

  function order(a, b) {
    return typeof a === "number" && typeof b === "number" ? a - b : language.compare(a, b);
  }

  function sort(heading) {
    const place = heading.cellIndex;
    const down = heading.getAttribute("aria-sort") === "ascending";
    const body = heading.closest("table").tBodies[0];
    const keyed = [...body.rows].map((row) => [key(row, place), row]);
    const known = keyed.filter(([value]) => value !== null);
    known.sort(([a], [b]) => (down ? order(b, a) : order(a, b)));
    const unknown = keyed.filter(([value]) => value === null);
    body.append(...[...known, ...unknown].map(([, row]) => row));
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  for (const heading of document.querySelectorAll("table:not(.choices) th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(heading));
    heading.append(button);
  }
})();
