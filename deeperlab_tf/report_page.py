"""The HTML frame, the style and the script of `report`: plain, without anything from the network."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
<div id="tip" role="status"></div>
<script type="application/json" id="names">{names}</script>
<script>{script}</script>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #777; --card: #8881; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .3rem; }
p { margin: .3rem 0 .6rem; color: var(--quiet); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(105px, 1fr)); gap: .6rem; margin: 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .7rem; }
.card dt { color: var(--quiet); font-size: .8rem; } .card dd { margin: 0; font-size: 1.4rem; font-weight: 600; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; max-height: 36rem; }
table { border-collapse: collapse; font-size: .9rem; min-width: 100%; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
thead th { position: sticky; top: 0; background: Canvas; z-index: 1; }
th.number, .number { text-align: right; font-variant-numeric: tabular-nums; }
th button { font: inherit; font-weight: 600; background: none; border: 0; padding: 0; color: inherit; cursor: pointer; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: .2em; margin-right: .5em; }
.matrix td { text-align: center; padding: .1rem .3rem; min-width: 2rem; font-size: .8rem; }
.matrix .right { background: rgb(50 160 80 / calc(var(--share) * .8)); }
.matrix .wrong { background: rgb(220 60 50 / calc(var(--share) * 1.2)); }
.key { white-space: nowrap; margin-right: .6em; }
.key .swatch { margin-right: .25em; border: 1px solid #8888; }
.tilted { height: 9rem; vertical-align: bottom; } .tilted span { writing-mode: vertical-rl; transform: rotate(180deg); }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 1rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; background: var(--card); }
.picture img { width: 100%; display: block; } .picture img[hidden] { display: none; }
figcaption { padding: .5rem .7rem; overflow-wrap: anywhere; }
fieldset { border: 0; padding: 0; margin: .3rem 0; display: flex; gap: .9rem; flex-wrap: wrap; }
fieldset label { cursor: pointer; display: flex; gap: .3rem; align-items: center; }
.quiet { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; white-space: nowrap; }
#tip { position: fixed; display: none; pointer-events: none; z-index: 9; max-width: 90vw; padding: .25rem .5rem;
  border-radius: .3rem; background: #111e; color: #fff; font-size: .85rem; }
:focus-visible { outline: 2px solid #47f; outline-offset: 2px; }
"""

SCRIPT = """
"use strict";
const names = JSON.parse(document.getElementById("names").textContent);
const tip = document.getElementById("tip");

// Layers: arrow keys move between the radio buttons of a picture by themselves.
document.addEventListener("change", (event) => {
  const figure = event.target.closest("figure");
  if (!figure) return;
  for (const image of figure.querySelectorAll("img")) image.hidden = image.dataset.layer !== event.target.value;
});

// Names on hover: an index map beside each picture, decoded when the pointer first comes by.
const maps = new Map();
function mapOf(picture) {
  if (!maps.has(picture)) {
    maps.set(picture, null);
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = image.width;
      canvas.height = image.height;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      maps.set(picture, context.getImageData(0, 0, image.width, image.height));
    };
    image.src = picture.dataset.map;
  }
  return maps.get(picture);
}
function showNames(event) {
  const picture = event.target.closest && event.target.closest(".picture");
  const map = picture && mapOf(picture);
  if (!map) { tip.style.display = "none"; return; }
  const box = picture.getBoundingClientRect();
  const x = Math.min(map.width - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * map.width)));
  const y = Math.min(map.height - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * map.height)));
  const at = 4 * (y * map.width + x);
  const known = names[picture.dataset.names];
  const truth = known.truth[map.data[at] - 1] || "nothing";
  const parse = known.parse[map.data[at + 1] - 1] || "nothing";
  tip.textContent = "parse: " + parse + " \\u00B7 truth: " + truth;
  tip.style.display = "block";
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4) + "px";
  tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4) + "px";
}
document.addEventListener("pointermove", showNames);
document.addEventListener("pointerdown", showNames);

// Sorting: numbers by value, names by alphabet, what is missing last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.firstChild.addEventListener("click", () => {
    const number = table.tBodies[0].rows[0].cells[column].classList.contains("number");
    const first = number ? "descending" : "ascending";
    const second = number ? "ascending" : "descending";
    const direction = heading.getAttribute("aria-sort") === first ? second : first;
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [a.cells[column].dataset.value, b.cells[column].dataset.value];
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (number ? x - y : x.localeCompare(y));
    });
    table.tBodies[0].append(...rows);
  }));
}
"""
