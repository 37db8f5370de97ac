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
  tip.textContent = `parse: ${parse.join(" ").trim()}\ntruth: ${truth.join(" ").trim()}`;
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
