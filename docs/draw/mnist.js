/* From strokes to a picture as MNIST's are (LeCun and others 1998): the digit, with its soft edge,
   fits a box of 20×20 by its longer side, and its centre of mass lies at pixel (14, 14) of 28×28. */
"use strict";

const SIDE = 28, BOX = 20, MIDDLE = 14;
const PEN = 2.7; // pixels: the mean of MNIST's lines, whatever the size of what was drawn
const SMALLEST = 10; // of the pad's 100 units; what is smaller is a dot, and is not blown up

/* strokes: lists of points [x, y] → Uint8Array(784), 0 paper to 255 ink; null where there are none */
function picture(strokes) {
  const points = strokes.flat();
  if (!points.length) return null;
  const [left, right] = extent(points.map(([x]) => x));
  const [top, bottom] = extent(points.map(([, y]) => y));
  const scale = (BOX - PEN - 1) / Math.max(right - left, bottom - top, SMALLEST);
  const placed = (x0, y0) => strokes.map((stroke) =>
    stroke.map(([x, y]) => [(x - x0) * scale + MIDDLE, (y - y0) * scale + MIDDLE]));
  const x0 = (left + right) / 2, y0 = (top + bottom) / 2;
  const [x, y] = centreOfMass(ink(placed(x0, y0)));
  const moved = ink(placed(x0 + (x - MIDDLE) / scale, y0 + (y - MIDDLE) / scale));
  return Uint8Array.from(moved, (share) => Math.round(255 * share));
}

/* How much of each pixel a pen covers that follows the strokes: 784 numbers from 0 to 1. */
function ink(strokes) {
  const covered = new Float64Array(SIDE * SIDE);
  for (const stroke of strokes)
    stroke.forEach((end, i) => {
      const start = stroke[Math.max(i - 1, 0)];
      for (let place = 0; place < covered.length; place++) {
        const away = distance([place % SIDE, Math.floor(place / SIDE)], start, end);
        covered[place] = Math.max(covered[place], Math.min(PEN / 2 + 0.5 - away, 1));
      }
    });
  return covered;
}

/* From a point to the nearest one of a segment. */
function distance([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.min(Math.max(along, 0), 1);
  return Math.hypot(x - ax - share * dx, y - ay - share * dy);
}

function centreOfMass(covered) {
  let [mass, x, y] = [0, 0, 0];
  covered.forEach((share, place) => {
    mass += share;
    x += share * (place % SIDE);
    y += share * Math.floor(place / SIDE);
  });
  return [x / mass, y / mass];
}

function extent(values) {
  return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}

function softened(logits, temperature) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (z) => Math.exp((z - most) / temperature));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

if (typeof module !== "undefined") module.exports = { picture, softened };
