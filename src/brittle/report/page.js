for (const button of document.querySelectorAll(".copy")) {
  const code = button.previousElementSibling;
  button.hidden = false;
  button.addEventListener("click", async () => {
    let copied = true;
    try { await navigator.clipboard.writeText(code.textContent); }
    catch { getSelection().selectAllChildren(code); copied = document.execCommand("copy"); }
    button.textContent = copied ? "copied" : "selected";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}
// a table wider than the page says so
const wide = new ResizeObserver((all) => all.forEach(({ target: box }) => {
  box.classList.toggle("more", box.scrollWidth > box.clientWidth + 1);
}));
for (const box of document.querySelectorAll(".scroll")) wide.observe(box);
// figures are read off by pointing
for (const drawn of document.querySelectorAll("svg:has(.readings)")) {
  const read = document.createElement("output");
  read.className = "read";
  read.textContent = "Point at the figure to read it off.";
  drawn.after(read);
  drawn.addEventListener("pointerover", (event) => {
    const text = event.target.closest(".readings rect")?.querySelector("title").textContent;
    if (text) read.textContent = text;
  });
}
// tables are sorted by what stands in their cells' data-value
for (const head of document.querySelectorAll(".sortable thead th")) {
  head.querySelector("button").addEventListener("click", () => {
    const body = head.closest("table").tBodies[0], place = head.cellIndex;
    const down = head.getAttribute("aria-sort") !== "descending";
    const value = (row) => row.cells[place].dataset.value ?? "";
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const by = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return down ? -by : by;
    };
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...[...body.rows].sort(order));
  });
}
