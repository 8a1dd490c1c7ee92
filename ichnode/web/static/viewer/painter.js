// One canvas: a plane in its window, zoomed and moved, with a heat map over it. Draws once a frame at most.

import { LOWEST, greys, heatColours } from "./windows.js";

const HEAT = heatColours();
const MOST_ZOOM = 16;

export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.plane = document.createElement("canvas");
    this.window = { level: 40, width: 80 };
    this.zoom = 1;                    // 1 fits the slice into the canvas
    this.pan = { x: 0, y: 0 };        // CSS pixels from the middle
    this.heat = { shown: true, opacity: 0.65 };
    this.coloured = new WeakMap();    // heat maps as canvases
    this.shown = null;
    this.probe = null;
    this.frame = 0;
    new ResizeObserver(() => this.ask()).observe(canvas);
  }

  /** Show a plane: { plane, map, facts }; `plane` undefined while it is on its way, null when it cannot be read. */
  show(shown) {
    this.shown = shown;
    this.stale = true;
    this.ask();
  }

  setWindow(window) {
    this.window = window;
    this.table = null;
    this.stale = true;
    this.ask();
  }

  ask() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  get ratio() { return Math.min(2, devicePixelRatio || 1); }

  /** Where the slice lies on the canvas, in CSS pixels, on whole pixels of the screen. */
  place() {
    const { rows, columns, pixel_mm: [high, wide] } = this.shown.facts;
    const width = columns * wide, height = rows * high;
    const fit = Math.min(this.canvas.clientWidth / width, this.canvas.clientHeight / height);
    const scale = fit * this.zoom;
    const snap = (value) => Math.round(value * this.ratio) / this.ratio;
    const w = width * scale, h = height * scale;
    const x = snap((this.canvas.clientWidth - w) / 2 + this.pan.x), y = snap((this.canvas.clientHeight - h) / 2 + this.pan.y);
    return { x, y, w: snap(w), h: snap(h) };
  }

  draw() {
    const { canvas, context, ratio } = this;
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (!this.shown?.plane) return;
    if (this.stale) this.fill();
    const { x, y, w, h } = this.place();
    const box = [x, y, w, h].map((value) => Math.round(value * ratio));
    context.imageSmoothingEnabled = box[2] !== this.plane.width || box[3] !== this.plane.height;
    context.imageSmoothingQuality = "medium";
    context.drawImage(this.plane, ...box);
    if (this.heat.shown && this.shown.map) {
      context.globalAlpha = this.heat.opacity;
      context.imageSmoothingEnabled = true;
      context.drawImage(this.colours(this.shown.map), ...box);
      context.globalAlpha = 1;
    }
    if (this.probe) this.cross(box);
  }

  /** Put the plane into its window. */
  fill() {
    const { plane, facts: { rows, columns } } = this.shown;
    this.table ??= greys(this.window);
    if (this.plane.width !== columns || this.plane.height !== rows || !this.pixels) {
      this.plane.width = columns;
      this.plane.height = rows;
      this.pixels = new ImageData(columns, rows);
      this.words = new Uint32Array(this.pixels.data.buffer);
    }
    const { table, words } = this;
    for (let i = 0; i < plane.length; i += 1) words[i] = table[plane[i] - LOWEST];
    this.plane.getContext("2d").putImageData(this.pixels, 0, 0);
    this.stale = false;
  }

  colours(map) {
    let made = this.coloured.get(map);
    if (!made) {
      const { rows, columns } = this.shown.facts;
      made = document.createElement("canvas");
      made.width = columns;
      made.height = rows;
      const pixels = new ImageData(columns, rows);
      const words = new Uint32Array(pixels.data.buffer);
      for (let i = 0; i < words.length; i += 1) words[i] = HEAT[map.values[i]];
      made.getContext("2d").putImageData(pixels, 0, 0);
      this.coloured.set(map, made);
    }
    return made;
  }

  cross([x, y, w, h]) {
    const { rows, columns } = this.shown.facts;
    const cx = x + (this.probe.column + 0.5) / columns * w, cy = y + (this.probe.row + 0.5) / rows * h;
    const arm = 12 * this.ratio, gap = 4 * this.ratio;
    const { context } = this;
    for (const [colour, line] of [["#000", 3.5], ["#f2c14e", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = line * this.ratio;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(cx + dx * gap, cy + dy * gap);
        context.lineTo(cx + dx * arm, cy + dy * arm);
      }
      context.stroke();
    }
  }

  /** Return row, column and Hounsfield units at a point of the canvas (CSS pixels); null beside the slice. */
  at(x, y) {
    if (!this.shown?.plane) return null;
    const { rows, columns } = this.shown.facts;
    const box = this.place();
    return this.value(Math.floor((y - box.y) / box.h * rows), Math.floor((x - box.x) / box.w * columns));
  }

  value(row, column) {
    const { rows, columns } = this.shown.facts;
    if (row < 0 || column < 0 || row >= rows || column >= columns) return null;
    return { row, column, hu: this.shown.plane[row * columns + column] };
  }

  /** Zoom so that the point (x, y) of the canvas stays where it is. */
  zoomAt(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const next = Math.min(MOST_ZOOM, Math.max(0.5, this.zoom * factor));
    const kept = next / this.zoom;
    const fromMiddle = { x: x - this.canvas.clientWidth / 2, y: y - this.canvas.clientHeight / 2 };
    this.pan.x = fromMiddle.x - (fromMiddle.x - this.pan.x) * kept;
    this.pan.y = fromMiddle.y - (fromMiddle.y - this.pan.y) * kept;
    this.zoom = next;
    this.ask();
  }

  move(dx, dy) {
    const within = (value, most) => Math.min(most, Math.max(-most, value));
    this.pan.x = within(this.pan.x + dx, this.canvas.clientWidth * this.zoom / 2);
    this.pan.y = within(this.pan.y + dy, this.canvas.clientHeight * this.zoom / 2);
    this.ask();
  }

  fit() {
    this.zoom = 1;
    this.pan = { x: 0, y: 0 };
    this.ask();
  }

  /** One pixel of the slice on one pixel of the screen. */
  oneToOne() {
    this.fit();
    if (!this.shown) return;
    const { rows, columns, pixel_mm: [high, wide] } = this.shown.facts;
    const fit = Math.min(this.canvas.clientWidth / (columns * wide), this.canvas.clientHeight / (rows * high));
    this.zoom = 1 / (this.ratio * wide * fit);
    this.ask();
  }
}
