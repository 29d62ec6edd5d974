/* The pad, the two charts and the slider of docs/draw.md. */
"use strict";

(() => {
  const at = (id) => document.getElementById(`draw-${id}`);
  const pad = at("pad"), slider = at("temperature"), said = at("said");
  const networks = {}; // name → session, when they are loaded
  let strokes = [], logits = null;

  // -- drawing ---------------------------------------------------------------------------------

  function shape(name, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  const pen = shape("circle", { cx: 50, cy: 50, r: 3 });
  let drawing = false;

  function shown() {
    const lines = strokes.map((stroke) => shape("polyline", {
      points: [stroke[0], ...stroke].join(" "), // twice, so that a dot is seen, too
    }));
    pad.replaceChildren(...lines, pen);
    answer();
  }

  function goTo(x, y) {
    const inside = (value) => Math.min(Math.max(value, 0), 100);
    const point = [inside(x), inside(y)];
    pen.setAttribute("cx", point[0]);
    pen.setAttribute("cy", point[1]);
    if (!drawing) return;
    const last = strokes.at(-1).at(-1);
    if (last && Math.hypot(point[0] - last[0], point[1] - last[1]) < 1) return;
    strokes.at(-1).push(point);
    shown();
  }

  const start = (x, y) => { drawing = true; strokes.push([]); goTo(x, y); };
  const lift = () => { drawing = false; tell(); };
  const draw = (anew) => { drawing = false; strokes = anew; shown(); tell(); };

  function place(event) {
    const box = pad.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((d) => (100 * d) / box.width);
  }

  pad.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pad.setPointerCapture(event.pointerId);
    start(...place(event));
  });
  pad.addEventListener("pointermove", (event) => {
    if (pad.hasPointerCapture(event.pointerId)) goTo(...place(event));
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, lift);

  pad.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] };
    const [x, y] = ["cx", "cy"].map((name) => Number(pen.getAttribute(name)));
    if (way[event.key]) goTo(x + way[event.key][0], y + way[event.key][1]);
    else if (event.key === "Escape") draw([]);
    else if (event.key === " ") drawing ? lift() : start(x, y);
    else return;
    event.preventDefault();
  });

  at("clear").addEventListener("click", () => draw([]));
  for (const [name, drawn] of Object.entries(DIGITS)) {
    const button = Object.assign(document.createElement("button"), { textContent: name });
    button.type = "button";
    button.addEventListener("click", () => draw(strokesOf(drawn)));
    at("examples").append(button);
  }

  // -- answering -------------------------------------------------------------------------------

  let busy = false, again = false;

  async function answer() { // what is drawn meanwhile is answered next
    again = true;
    if (busy || !networks.student) return;
    busy = true;
    while (again) {
      again = false;
      const pixels = picture(strokes);
      look(pixels);
      const found = {};
      for (const name of pixels ? ["teacher", "student"] : []) {
        const input = new ort.Tensor("uint8", pixels, [1, 1, 28, 28]);
        found[name] = (await networks[name].run({ pixels: input })).logits.data;
      }
      logits = pixels && found;
      bars();
    }
    busy = false;
    tell();
  }

  function look(pixels) {
    const grey = new Uint8ClampedArray(4 * 784).map((_, i) => (i % 4 < 3 ? 255 : pixels?.[i >> 2]));
    at("seen").getContext("2d").putImageData(new ImageData(grey, 28), 0, 0);
  }

  function bars() {
    for (const name of ["teacher", "student"]) {
      const shares = logits && softened(logits[name], Number(slider.value));
      rows[name].forEach(({ row, bar, number }, digit) => {
        const share = shares ? shares[digit] : 0;
        row.classList.toggle("draw-most", share > 0 && share === Math.max(...shares));
        bar.style.width = `${100 * share}%`;
        number.textContent = shares ? `${(100 * share).toFixed(1)} %` : "–";
      });
    }
  }

  function tell() { // a screen reader says it, so not while the pen is down
    if (drawing || busy || !networks.student) return;
    const words = Object.entries(logits ?? {}).map(([name, values]) => {
      const shares = softened(values, Number(slider.value)), most = Math.max(...shares);
      return `${name}: ${shares.indexOf(most)}, ${(100 * most).toFixed(1)} %`;
    });
    said.textContent = logits ? `At T = ${slider.value}, ${words.join("; ")}.` : "Draw a digit.";
  }

  const rows = {};
  for (const name of ["teacher", "student"])
    rows[name] = Array.from({ length: 10 }, (_, digit) => {
      const row = at(name).insertRow();
      row.append(Object.assign(document.createElement("th"), { textContent: digit, scope: "row" }));
      const bar = Object.assign(document.createElement("div"), { className: "draw-bar" });
      row.insertCell().append(bar);
      return { row, bar, number: row.insertCell() };
    });
  slider.addEventListener("input", () => { at("told").textContent = slider.value; bars(); });
  slider.addEventListener("change", tell);
  shown();
  bars();

  // -- the networks ----------------------------------------------------------------------------

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  async function load() {
    const { glue, wasm, ...models } = RUNTIME;
    const module = URL.createObjectURL(new Blob([bytes(glue)], { type: "text/javascript" }));
    Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: bytes(wasm), wasmPaths: { mjs: module } });
    const opened = {};
    for (const name of ["teacher", "student"])
      opened[name] = await ort.InferenceSession.create(bytes(models[name]));
    Object.assign(networks, opened);
    await answer();
    tell();
  }

  // One script for all that is needed: a page that was opened as a file may load nothing else.
  const failed = (why) => { said.textContent = `The networks cannot be loaded: ${why}`; };
  const script = document.createElement("script");
  script.src = "../_static/draw/runtime.js";
  script.onerror = () => failed("this copy of the site was built where npm could not be asked.");
  script.onload = () => load().catch((error) => failed(error.message));
  document.body.append(script);
})();
