// Names and scores under the pointer, and a veil over the region it is on.
() => {
  const maps = new WeakMap(); // figure -> { width, height, ids } of its map of segments

  function mapOf(figure) {
    if (maps.has(figure)) return maps.get(figure);
    const image = figure.querySelector("img.segments");
    if (!image.complete || !image.naturalWidth) return null;
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const ids = new Uint32Array(canvas.width * canvas.height);
    for (let i = 0; i < ids.length; i++) {
      ids[i] = rgba[4 * i] + 256 * rgba[4 * i + 1] + 65536 * rgba[4 * i + 2];
    }
    const map = { width: canvas.width, height: canvas.height, ids, shown: 0 };
    map.names = JSON.parse(figure.dataset.names);
    maps.set(figure, map);
    return map;
  }

  function veil(figure, map, id) {
    if (map.shown === id) return;
    map.shown = id;
    const canvas = figure.querySelector("canvas");
    canvas.width = map.width;
    canvas.height = map.height;
    if (!id) return;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(map.width, map.height);
    const words = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < words.length; i++) {
      if (map.ids[i] === id) words[i] = 0x50ffffff;
    }
    context.putImageData(pixels, 0, 0);
  }

  function leave() {
    for (const figure of document.querySelectorAll("figure.parse")) {
      figure.querySelector("figcaption").textContent = "";
      const map = maps.get(figure);
      if (map) veil(figure, map, 0);
    }
  }

  document.addEventListener("pointermove", (event) => {
    const figure = event.target.closest && event.target.closest("figure.parse");
    const map = figure && mapOf(figure);
    if (!map) return leave();
    const box = figure.querySelector("img.layer").getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * map.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * map.height);
    if (x < 0 || y < 0 || x >= map.width || y >= map.height) return leave();
    const id = map.ids[y * map.width + x];
    const caption = figure.querySelector("figcaption");
    caption.textContent = map.names[id];
    // Beside the pointer, and inside the picture.
    const left = event.clientX - box.left + 14;
    caption.style.left = Math.min(left, box.width - caption.offsetWidth) + "px";
    caption.style.top = Math.max(event.clientY - box.top - 34, 0) + "px";
    veil(figure, map, id);
  });
  document.addEventListener("pointerleave", leave);
  document.body.dataset.pointer = "ready"; // for tests: the page answers from here on
}
