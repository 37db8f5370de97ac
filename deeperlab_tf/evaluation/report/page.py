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
{body}
</main>
<div id="tip" role="status"></div>
<script type="application/json" id="names">{names}</script>
<script>{script}</script>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --page: #fbfbfa; --sheet: #fff; --text: #1c2024; --quiet: #60666d; --line: #e3e4e6;
  --accent: #2563b8; --good: 34 139 84; --bad: 214 64 48; --bar: #2563b81c; --mark: #2563b870; }
@media (prefers-color-scheme: dark) { :root { --page: #131518; --sheet: #1b1e22; --text: #e8eaed; --quiet: #a2a9b1;
  --line: #30353b; --accent: #7db2ff; --good: 72 176 118; --bad: 232 96 80; --bar: #7db2ff26; --mark: #7db2ff80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 1.6rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .2rem; scroll-margin-top: 1rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; scroll-margin-top: 5rem; }
p { margin: .4rem 0 .8rem; color: var(--quiet); max-width: 75ch; }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: .5rem 0 1.2rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .8rem; margin: 0 0 1rem; }
.card { background: var(--sheet); border: 1px solid var(--line); border-radius: .6rem; padding: .7rem .9rem .8rem; }
.card dt { color: var(--quiet); font-size: .85rem; }
.card dd { margin: 0; }
.card .value { font-size: 2rem; line-height: 1.15; font-weight: 650; font-variant-numeric: tabular-nums; }
.card .more { font-size: .85rem; color: var(--quiet); }
.track { height: .35rem; border-radius: .2rem; margin: .35rem 0 .4rem; background: var(--line); overflow: hidden; }
.track i { display: block; height: 100%; width: calc(var(--share) * 100%); background: var(--accent); }
.notes { color: var(--quiet); padding-left: 1.2rem; margin: .8rem 0; }
details.glossary { margin: .8rem 0; } details.glossary dt { font-weight: 600; }
details.glossary dd { margin: 0 0 .5rem; }
summary { cursor: pointer; }
.scroll { overflow: auto; background: var(--sheet); border: 1px solid var(--line); border-radius: .6rem;
  max-height: 40rem; }
.narrow { max-width: 46rem; }
table { border-collapse: separate; border-spacing: 0; font-size: .9rem; min-width: 100%; }
th, td { padding: .34rem .7rem; text-align: left; white-space: nowrap; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
tbody tr:hover > * { background-color: var(--bar); }
thead th { position: sticky; top: 0; background: var(--sheet); z-index: 2; border-bottom: 1px solid var(--line);
  font-weight: 600; }
tbody th { position: sticky; left: 0; background: var(--sheet); z-index: 1; font-weight: 500; max-width: 45vw;
  overflow: hidden; text-overflow: ellipsis; }
thead th:first-child { left: 0; z-index: 3; }
tr.absent > * { color: var(--quiet); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.bar { background: .7rem calc(100% - 3px) / calc(var(--share) * (100% - 1.4rem)) 3px no-repeat
  linear-gradient(var(--mark), var(--mark)); padding-bottom: .5rem; }
th button { font: inherit; background: none; border: 0; padding: 0; color: inherit; cursor: pointer; }
th button::after { content: " \\2195"; color: var(--quiet); opacity: .6; }
th[aria-sort=ascending] button::after { content: " \\2191"; color: var(--accent); opacity: 1; }
th[aria-sort=descending] button::after { content: " \\2193"; color: var(--accent); opacity: 1; }
.swatch { display: inline-block; width: .85em; height: .85em; border-radius: .2em; margin-right: .5em;
  vertical-align: -.05em; box-shadow: inset 0 0 0 1px #0003; }
.matrix td { text-align: center; padding: .2rem .3rem; min-width: 2.3rem; font-size: .82rem;
  font-variant-numeric: tabular-nums; }
.matrix .right { background: rgb(var(--good) / calc(.15 + var(--share) * .55)); }
.matrix .wrong { background: rgb(var(--bad) / calc(var(--share) * .9)); }
.matrix thead th { vertical-align: bottom; }
.tilted { height: 8.5rem; vertical-align: bottom; text-align: center; padding: .4rem .3rem; }
.tilted span { display: inline-block; writing-mode: vertical-rl; transform: rotate(180deg); max-height: 8rem;
  overflow: hidden; text-overflow: ellipsis; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; color: var(--quiet); font-size: .88rem; }
.legend .void { background: repeating-linear-gradient(135deg, #888 0 2px, #ddd 2px 4px); }
.tools { position: sticky; top: 0; z-index: 4; background: var(--page); padding: .6rem 0; margin-bottom: .4rem;
  border-bottom: 1px solid var(--line); display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: center; }
.layers { border: 1px solid var(--line); border-radius: .5rem; padding: 0; margin: 0; display: inline-flex;
  overflow: hidden; background: var(--sheet); }
.layers label { position: relative; cursor: pointer; padding: .22rem .7rem; font-size: .88rem; }
.layers label + label { border-left: 1px solid var(--line); }
.layers label:has(:checked) { background: var(--accent); color: var(--page); }
.layers label:has(:focus-visible) { outline: 3px solid var(--accent); outline-offset: -3px;
  box-shadow: inset 0 0 0 4px var(--page); }
.layers input { position: absolute; opacity: 0; inset: 0; margin: 0; cursor: pointer; }
kbd { font: inherit; font-size: .85em; border: 1px solid var(--line); border-radius: .25em; padding: 0 .35em; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 1rem;
  align-items: start; }
figure { margin: 0; background: var(--sheet); border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; }
.picture { position: relative; cursor: crosshair; background: #8882; }
.picture img { width: 100%; display: block; } .picture img[hidden] { display: none; }
.picture canvas { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
figcaption { padding: .6rem .8rem .7rem; font-size: .9rem; }
.title { display: flex; justify-content: space-between; gap: 1rem; margin-bottom: .5rem; }
.title strong { overflow-wrap: anywhere; font-weight: 600; } .title span { white-space: nowrap; }
figcaption details { margin-top: .5rem; }
figcaption ul { list-style: none; margin: .4rem 0 0; padding: 0; max-height: 11rem; overflow: auto; }
figcaption li { display: flex; justify-content: space-between; gap: 1rem; padding: .1rem .3rem; border-radius: .3rem; }
figcaption li:hover, figcaption li:focus { background: var(--bar); }
.quiet { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; white-space: nowrap; }
#tip { position: fixed; display: none; pointer-events: none; z-index: 9; max-width: 90vw; padding: .3rem .6rem;
  border-radius: .4rem; background: #111e; color: #fff; font-size: .85rem; white-space: pre-line;
  border-left: 4px solid rgb(var(--good)); }
#tip.differs { border-color: rgb(var(--bad)); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 600px) { .tools .hint { display: none; } }
"""

SCRIPT = """
"use strict";
const names = JSON.parse(document.getElementById("names").textContent);
const tip = document.getElementById("tip");
const figures = [...document.querySelectorAll("figure")];

// Layers: of one picture, or of all. Arrow keys move between radio buttons by themselves; 1, 2, ... choose for all.
function show(figure, layer) {
  const images = [...figure.querySelectorAll("img")];
  if (!images.some((image) => image.dataset.layer === layer)) return;  // there is no photo, for example
  for (const image of images) image.hidden = image.dataset.layer !== layer;
  figure.querySelector(`input[value="${layer}"]`).checked = true;
  light(figure.querySelector(".picture"), 0);
}
function showAll(layer) {
  for (const input of document.querySelectorAll(".all input")) input.checked = input.value === layer;
  for (const figure of figures) show(figure, layer);
}
document.addEventListener("change", (event) => {
  const figure = event.target.closest("figure");
  if (figure) show(figure, event.target.value);
  else if (event.target.closest(".all")) showAll(event.target.value);
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const choices = document.querySelector(".all").querySelectorAll("input");
  const chosen = choices[Number(event.key) - 1];
  if (event.key >= "1" && event.key <= "9" && chosen) showAll(chosen.value);
});

// Names on hover: an index map beside each picture, decoded when it is first needed.
const maps = new Map();
async function mapOf(picture) {
  if (!maps.has(picture)) {
    const image = new Image();
    image.src = picture.dataset.map;
    maps.set(picture, image.decode().then(() => {
      const canvas = document.createElement("canvas");
      canvas.width = image.width;
      canvas.height = image.height;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      return context.getImageData(0, 0, image.width, image.height);
    }));
  }
  return maps.get(picture);
}

// Darkens a picture but for one segment; number 0: nothing is darkened.
async function light(picture, number, channel = 1) {
  const state = `${channel}:${number}`;
  if ((picture.dataset.lit || "1:0") === state) return;
  picture.dataset.lit = state;
  let canvas = picture.querySelector("canvas");
  if (!number) { if (canvas) canvas.remove(); return; }
  const map = await mapOf(picture);
  if (picture.dataset.lit !== state) return;
  if (!canvas) canvas = picture.appendChild(document.createElement("canvas"));
  canvas.width = map.width;
  canvas.height = map.height;
  const context = canvas.getContext("2d");
  const shade = context.createImageData(map.width, map.height);
  for (let at = 0; at < map.data.length; at += 4) shade.data[at + 3] = map.data[at + channel] === number ? 0 : 125;
  context.putImageData(shade, 0, 0);
}

let hovered = null;
async function showNames(event) {
  const picture = event.target.closest && event.target.closest(".picture");
  if (hovered && hovered !== picture) light(hovered, 0);
  hovered = picture;
  if (!picture) { tip.style.display = "none"; return; }
  const map = await mapOf(picture);
  if (hovered !== picture) return;
  const box = picture.getBoundingClientRect();
  const x = Math.min(map.width - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * map.width)));
  const y = Math.min(map.height - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * map.height)));
  const at = 4 * (y * map.width + x);
  const known = names[picture.dataset.names];
  const truth = known.truth[map.data[at] - 1] || ["nothing", ""];
  const parse = known.parse[map.data[at + 1] - 1] || ["nothing", ""];
  tip.textContent = `parse: ${parse.join(" ").trim()}\\ntruth: ${truth.join(" ").trim()}`;
  tip.classList.toggle("differs", truth[0] !== parse[0]);
  tip.style.display = "block";
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4) + "px";
  tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4) + "px";
  const channel = picture.querySelector("img:not([hidden])").dataset.layer === "Truth" ? 0 : 1;
  light(picture, map.data[at + channel], channel);
}
document.addEventListener("pointermove", showNames);
document.addEventListener("pointerdown", showNames);
document.addEventListener("pointerleave", showNames);

// The list of segments, by pointer or keyboard.
for (const kind of ["pointerover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const item = event.target.closest && event.target.closest("li[data-segment]");
    if (item) light(item.closest("figure").querySelector(".picture"), Number(item.dataset.segment));
  });
}
for (const kind of ["pointerout", "focusout"]) {
  document.addEventListener(kind, (event) => {
    const item = event.target.closest && event.target.closest("li[data-segment]");
    if (item) light(item.closest("figure").querySelector(".picture"), 0);
  });
}

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
