"use strict";
(() => {
  const table = document.getElementById("findings"), body = table.tBodies[0];
  const strips = JSON.parse(document.getElementById("strips").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const rows = [...body.rows];
  const number = (text) => { const found = text.replaceAll(",", "").match(/-?\d+(\.\d+)?/); return found ? Number(found[0]) : null; };
  const value = (row, column) => {
    if (column === 4) return Number(row.dataset.required);
    if (column === 5) return row.dataset.estimate === "" ? null : Number(row.dataset.estimate);
    const text = row.cells[column].textContent.trim();
    return column === 6 || column === 7 ? number(text) : text;
  };
  const closeAll = () => body.querySelectorAll("tr.open").forEach((row) => row.remove());

  table.querySelectorAll("thead th").forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      closeAll();
      rows.sort((a, b) => {
        const x = value(a, column), y = value(b, column);
        if (x === null || y === null) return (x === null) - (y === null);
        const order = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
        return up ? order : -order;
      }).forEach((row) => body.append(row));
      rows.forEach((row) => row.querySelector(".samples")?.setAttribute("aria-expanded", "false"));
    });
  });

  const filter = document.getElementById("filter"), shown = document.getElementById("shown");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    closeAll();
    let count = 0;
    for (const row of rows) {
      const text = `${row.textContent} ${Object.values(row.dataset).join(" ")}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      row.querySelector(".samples")?.setAttribute("aria-expanded", "false");
      count += !row.hidden;
    }
    shown.textContent = `${count} of ${rows.length}`;
  });

  // What scrolls sideways on a narrow screen must be within reach of the keyboard.
  const reachable = () => document.querySelectorAll("section > figure, section table").forEach((part) => {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0; else part.removeAttribute("tabindex");
  });
  addEventListener("resize", reachable);
  reachable();

  const element = (name, attributes) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, given] of Object.entries(attributes)) made.setAttribute(key, given);
    return made;
  };
  // Samples left to right in the order they were taken, upwards what is more; a hollow point was rejected by the speed probe.
  const draw = (strip) => {
    const values = strip.points.map((point) => point[1]), low = Math.min(...values), high = Math.max(...values);
    const told = `${strip.implementation}: ${strip.total} ${strip.what} from ${low} to ${high} ${strip.unit}, ${strip.rejected} rejected`;
    const svg = element("svg", { viewBox: "0 0 800 74", class: "strip", role: "img", "aria-label": told });
    strip.points.forEach(([, value, accepted], index) => {
      const x = 4 + (792 * (index + 0.5)) / strip.points.length, y = 68 - (62 * (value - low)) / (high - low || 1);
      svg.append(element("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 2, fill: accepted ? "currentColor" : "none", stroke: "currentColor", "stroke-width": 0.8 }));
    });
    return [svg, told];
  };
  for (const row of rows) {
    const found = row.dataset.strips.split(" ").filter(Boolean).map((index) => strips[Number(index)]);
    if (!found.length) continue;
    const button = document.createElement("button"), cell = row.cells[8];
    button.type = "button"; button.className = "samples"; button.textContent = cell.textContent; button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-label", `Samples of ${row.cells[0].textContent}, ${cell.textContent}`);
    cell.replaceChildren(button);
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      if (open) { if (row.nextElementSibling?.classList.contains("open")) row.nextElementSibling.remove(); return; }
      const made = body.insertRow(row.sectionRowIndex + 1), wide = made.insertCell();
      made.className = "open"; wide.colSpan = row.cells.length;
      for (const strip of found) {
        const [svg, told] = draw(strip), name = document.createElement("p");
        name.className = "strip-name"; name.textContent = `${told}; in the order they were made, hollow: rejected, showing ${strip.points.length}`;
        wide.append(name, svg);
      }
    });
  }
})();
