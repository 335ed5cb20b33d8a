"use strict";
// Sorts a table by a column when its heading is pressed; blocks of rows (tbody) stay together.
// Without this script the page is whole, its tables in the order in which they were written.
(() => {
  const number = /[-+]?\d[\d,]*(\.\d+)?/;

  function key(row, column) {
    const text = (row.cells[column]?.textContent ?? "").replace(/\u200b/g, "").trim();
    const found = text.replace(/\u2212/g, "-").match(number);
    const leads = found !== null && found.index <= 1;
    return { text, value: leads ? Number(found[0].replace(/,/g, "")) : NaN };
  }

  function compare(a, b, numeric) {
    if (!numeric) return a.text.localeCompare(b.text, undefined, { numeric: true });
    return a.value - b.value;
  }

  function sort(table, heading, column) {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const blocks = [...table.tBodies].map((body) => ({
      body,
      rows: [...body.rows].map((row) => ({ row, ...key(row, column) })),
    }));
    const nothing = (one) => /^[-\u2013]?$/.test(one.text);
    const all = blocks.flatMap((block) => block.rows).filter((one) => !nothing(one));
    const numeric = all.length > 0 && all.every((one) => !Number.isNaN(one.value));
    for (const { body, rows } of blocks) {
      const known = rows.filter((one) => !nothing(one));
      known.sort((a, b) => (down ? -1 : 1) * compare(a, b, numeric));
      body.append(...[...known, ...rows.filter(nothing)].map((one) => one.row));
    }
  }

  for (const table of document.querySelectorAll("table")) {
    const headings = table.tHead ? table.tHead.rows[0].cells : [];
    [...headings].forEach((heading, column) => {
      heading.classList.add("sortable");
      heading.tabIndex = 0;
      heading.title = "Sort by this column";
      heading.addEventListener("click", () => sort(table, heading, column));
      heading.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        sort(table, heading, column);
      });
    });
  }
})();
