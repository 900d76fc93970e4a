"use strict";
(() => {
  const words = new Intl.Collator("en", { numeric: true });
  const following = { none: "ascending", ascending: "descending", descending: "none" };
  const shown = (cell) => (cell.querySelector(".mark") || cell.firstChild || cell).textContent.trim();
  const key = (row, column) => {
    const cell = row.cells[column];
    return { number: cell.dataset.sort === undefined ? NaN : Number(cell.dataset.sort), text: shown(cell) };
  };
  const absent = (k) => Number.isNaN(k.number) && (k.text === "" || k.text === "-");
  const compare = (a, b, sign) => {
    if (absent(a) || absent(b)) return absent(a) - absent(b);
    const numbers = !Number.isNaN(a.number) && !Number.isNaN(b.number);
    return sign * (numbers ? a.number - b.number : words.compare(a.text, b.text));
  };
  const sort = (table, rows, heads, column) => {
    const order = following[heads[column].getAttribute("aria-sort")];
    heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? order : "none"));
    const sign = order === "descending" ? -1 : 1;
    const sorted = [...rows];
    if (order !== "none") {
      const keys = new Map(rows.map((row) => [row, key(row, column)]));
      sorted.sort((a, b) => compare(keys.get(a), keys.get(b), sign));
    }
    table.tBodies[0].append(...sorted);
  };
  for (const table of document.querySelectorAll("main table")) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 2) continue;
    const heads = [...table.tHead.rows[0].cells];
    table.classList.add("sortable");
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sort(table, rows, heads, column));
    });
  }
  const folded = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  addEventListener("beforeprint", () => { opened = folded(); opened.forEach((one) => { one.open = true; }); });
  addEventListener("afterprint", () => { opened.forEach((one) => { one.open = false; }); opened = []; });
})();
