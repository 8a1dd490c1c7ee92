// The viewer of the study page: puts stack, painter, strips and gestures together and says what is shown.

import { signIn } from "../app.js";
import { listen, listenToKeys } from "./gestures.js";
import { Painter } from "./painter.js";
import { Stack } from "./stack.js";
import { Strips } from "./strips.js";
import { PRESETS } from "./windows.js";

const section = document.getElementById("viewer");
const find = (name) => section.querySelector(`[data-viewer=${name}]`);
const stage = find("stage");
const say = Object.fromEntries(
  ["number", "position", "hu", "wl", "zoom", "wait", "left", "right", "top", "bottom", "heat-of"].map((n) => [n, find(n)]),
);

const AGAIN_MS = 3000;
const imageOf = ({ sop_instance_uid: instance, frame }) => `${instance}:${frame}`;

class Viewer {
  constructor(facts) {
    this.facts = facts;
    this.count = facts.slices.length;
    this.index = -1;
    this.probing = false;
    this.pointed = null;
    this.trouble = null;  // what a slice that does not come waits for
    this.again = null;
    this.painter = new Painter(find("canvas"));
    this.tool = matchMedia("(pointer: coarse)").matches ? "scroll" : "window";
    const worker = new Worker(new URL("./loader.js", import.meta.url), { type: "module" });
    this.stack = new Stack(facts, worker, {
      arrived: (index) => this.arrived(index),
      failed: (status) => this.failed(status),
    });
    this.strips = new Strips([...section.querySelectorAll("[data-strip]")], facts, (index) => this.go(index));
    this.fetchHeat();
    find("slider").max = String(this.count - 1);
    this.placeKeys();
    this.useTool(this.tool);
    this.preset("brain");
    this.go(facts.first);
  }

  fetchHeat() {
    this.stack.fetchHeat().then(() => { this.refresh(); this.thumbnails(); }).catch(() => {
      document.addEventListener("live", () => this.fetchHeat(), { once: true });
    });
  }

  /** The answer numbers its own slices; once more have come they lie elsewhere, and some may not be here any more. */
  placeKeys() {
    const read = this.facts.slices.flatMap((one, index) => (one.scores ? [[imageOf(one), index]] : []));
    const places = new Map(read);
    for (const button of document.querySelectorAll("[data-go]")) {
      const place = places.get(button.dataset.image);
      if (place === undefined) { button.remove(); continue; }
      button.dataset.go = String(place);
      button.querySelector("[data-number]").textContent = String(place + 1);
    }
    const keys = document.querySelector("[data-keys]");
    if (keys && !keys.querySelector("[data-go]")) keys.remove();
    section.places = places;  // Teach reads these two, and may be loaded later than this
    section.dispatchEvent(new CustomEvent("slices", { bubbles: true }));
  }

  get shownFacts() { return this.facts.slices[this.index]; }

  go(index) {
    const next = Math.min(this.count - 1, Math.max(0, index));
    if (next === this.index) return;
    this.index = next;
    this.refresh();
    this.stack.near(next);
  }

  scroll(by) { this.go(this.index + by); }

  nextKey(direction) {
    const keys = this.facts.keys.map((key) => key.index).sort((a, b) => a - b);
    if (!keys.length) return;
    const ahead = direction > 0 ? keys.find((i) => i > this.index) : keys.findLast((i) => i < this.index);
    this.go(ahead ?? (direction > 0 ? keys[0] : keys.at(-1)));
  }

  /** Draw the slice again and say what it is. */
  refresh() {
    const facts = this.shownFacts;
    const plane = this.stack.planes[this.index];
    const map = this.stack.maps.get(this.index);
    this.painter.show({ plane, map, facts });
    this.strips.show(this.index);
    say.number.textContent = `${this.index + 1} / ${this.count}`;
    say.position.textContent = facts.position_mm === null ? "" : `${facts.position_mm.toFixed(1)} mm`;
    for (const side of ["left", "right", "top", "bottom"]) say[side].textContent = facts[side];
    say.wait.textContent = plane ? "" : plane === null ? "The pixels of this slice cannot be read." : this.trouble ?? "Loading …";
    say["heat-of"].textContent = map ? (this.painter.heat.shown ? `heat map: ${map.name}` : "heat map hidden (H)") : "";
    for (const button of document.querySelectorAll("[data-go]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.go) === this.index));
    }
    this.describe();
    this.readProbe();
    section.shown = { index: this.index, image: imageOf(facts), read: Boolean(facts.scores) };
    section.dispatchEvent(new CustomEvent("slice", { bubbles: true }));
  }

  /** What a screen reader is told of the slice. */
  describe() {
    const { classes } = this.facts, { scores } = this.shownFacts;
    const high = scores ? classes.map((name, c) => `${name} ${scores[c].toFixed(2)}`).join(", ") : "no scores";
    find("slider").value = String(this.index);
    find("slider").setAttribute("aria-valuetext", `image ${this.index + 1} of ${this.count}: ${high}`);
    section.querySelectorAll("[data-score]").forEach((place, c) => {
      place.textContent = scores ? scores[c].toFixed(2) : "";
      place.classList.toggle("over", Boolean(scores) && scores[c] >= this.facts.thresholds[c]);
    });
  }

  arrived(index) {
    if (this.stack.here === this.count) section.dataset.whole = "yes";
    this.trouble = null;
    if (index === this.index) this.refresh();
    if (this.facts.keys.some((key) => key.index === index)) this.thumbnails();
  }

  failed(status) {
    if (status === 401) signIn();
    else if (status === 409) say.wait.textContent = "The series has changed since this page was made: load it again.";
    else if (status === null) say.wait.textContent = "The viewer could not be loaded. Load the page again.";
    else if (status && status < 500) say.wait.textContent = `The node answered ${status}.`;
    else {
      this.trouble = status ? `The node answered ${status}. It is tried again.` : "The node does not answer. It is tried again.";
      // A slice that is here stays as it is: only somebody who waits for one is told.
      if (this.stack.planes[this.index] === undefined) say.wait.textContent = this.trouble;
      this.again ??= setTimeout(() => { this.again = null; this.stack.near(this.index); }, AGAIN_MS);
    }
  }

  /** Small pictures of the key slices, once their planes are here. */
  thumbnails() {
    for (const button of document.querySelectorAll("[data-go]")) {
      const index = Number(button.dataset.go), plane = this.stack.planes[index];
      if (!plane || (button.dataset.drawn && !this.stack.maps.get(index))) continue;
      this.thumbs ??= new Map();
      let painter = this.thumbs.get(button);
      if (!painter) {
        painter = new Painter(button.querySelector("canvas"));
        this.thumbs.set(button, painter);
      }
      painter.setWindow(PRESETS[button.dataset.window]);
      painter.heat.opacity = 0.6;
      painter.zoom = 1.35;  // less of the air around a head
      painter.show({ plane, map: this.stack.maps.get(index), facts: this.facts.slices[index] });
      button.dataset.drawn = "yes";
    }
  }

  // Windows

  preset(name) {
    this.setWindow(PRESETS[name]);
  }

  setWindow({ level, width }) {
    this.painter.setWindow({ level: Math.round(level), width: Math.max(1, Math.round(width)) });
    const now = this.painter.window;
    say.wl.textContent = `L ${now.level}  W ${now.width}`;
    find("level").value = now.level;
    find("width").value = now.width;
    for (const radio of section.querySelectorAll("[name=window]")) {
      const { level: l, width: w } = PRESETS[radio.value];
      radio.checked = l === now.level && w === now.width;
    }
  }

  /** A drag: down is darker, to the right is wider; wide windows move faster. */
  changeWindow(down, right) {
    const { level, width } = this.painter.window;
    const speed = Math.max(0.25, width / 300);
    this.exact ??= { level, width };
    if (Math.round(this.exact.level) !== level || Math.round(this.exact.width) !== width) this.exact = { level, width };
    this.exact = { level: this.exact.level + down * speed, width: Math.max(1, this.exact.width + right * speed) };
    this.setWindow(this.exact);
  }

  // Zoom, tools, heat map

  zoom(factor, x, y) { this.painter.zoomAt(factor, x, y); this.sayZoom(); }
  move(dx, dy) { this.painter.move(dx, dy); }
  fit() { this.painter.fit(); this.sayZoom(); }
  oneToOne() { this.painter.oneToOne(); this.sayZoom(); }
  sayZoom() { say.zoom.textContent = this.painter.zoom === 1 ? "" : `${this.painter.zoom.toFixed(1)}×`; }

  useTool(name) {
    this.tool = name;
    stage.dataset.tool = name;
    section.querySelector(`[name=tool][value=${name}]`).checked = true;
  }

  switchHeat(shown = !this.painter.heat.shown) {
    this.painter.heat.shown = shown;
    find("heat").checked = shown;
    this.refresh();
  }

  setOpacity(value) {
    this.painter.heat.opacity = value;
    this.painter.ask();
  }

  // Hounsfield units under the pointer, or under a cross that keys move

  point(x, y) {
    this.pointed = x === null ? null : { x, y };
    this.askProbe ||= requestAnimationFrame(() => { this.askProbe = 0; this.readProbe(); });
  }

  switchProbe() {
    this.probing = !this.probing;
    const { rows, columns } = this.shownFacts;
    this.painter.probe = this.probing ? { row: rows >> 1, column: columns >> 1 } : null;
    find("probe").setAttribute("aria-pressed", String(this.probing));
    this.painter.ask();
    this.readProbe();
  }

  moveProbe(dx, dy) {
    const { rows, columns } = this.shownFacts, { probe } = this.painter;
    probe.row = Math.min(rows - 1, Math.max(0, probe.row + dy));
    probe.column = Math.min(columns - 1, Math.max(0, probe.column + dx));
    this.painter.ask();
    this.readProbe();
  }

  readProbe() {
    const { probe } = this.painter;
    let found = null;
    if (probe && this.painter.shown?.plane) found = this.painter.value(probe.row, probe.column);
    else if (this.pointed) found = this.painter.at(this.pointed.x, this.pointed.y);
    say.hu.textContent = found ? `${found.hu} HU` : "";
    say.hu.setAttribute("aria-live", probe ? "polite" : "off");
  }

  help() { find("help").showModal(); }
}

async function open() {
  const answer = await fetch(section.dataset.stack, { credentials: "same-origin", headers: { Accept: "application/json" } });
  if (answer.status === 401) { signIn(); return; }
  const facts = answer.ok ? await answer.json() : null;
  if (!facts?.slices.length) {
    say.wait.textContent = facts ? "There are no slices to show." : `The node answered ${answer.status}.`;
    return;
  }
  const viewer = new Viewer(facts);
  listen(stage, viewer);
  listenToKeys(section, viewer);
  section.addEventListener("input", ({ target }) => {
    switch (target.dataset.viewer || target.name) {
      case "window": viewer.preset(target.value); break;
      case "tool": viewer.useTool(target.value); break;
      case "heat": viewer.switchHeat(target.checked); break;
      case "opacity": viewer.setOpacity(Number(target.value) / 100); break;
      case "slider": viewer.go(Number(target.value)); break;
      default:
    }
  });
  section.addEventListener("change", ({ target }) => {
    if (!["level", "width"].includes(target.dataset.viewer)) return;
    const { level, width } = viewer.painter.window;
    viewer.setWindow({ level, width, [target.dataset.viewer]: Number(target.value) || 0 });
  });
  const acts = {
    fit: () => viewer.fit(), one: () => viewer.oneToOne(), nearer: () => viewer.zoom(1.25), farther: () => viewer.zoom(0.8),
    probe: () => viewer.switchProbe(), keys: () => viewer.help(), next: () => viewer.nextKey(1),
  };
  section.addEventListener("click", ({ target }) => acts[target.closest("button")?.dataset.act]?.());
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-go]");
    if (button) viewer.go(Number(button.dataset.go));
  });
  document.addEventListener("live", () => viewer.stack.near(viewer.index));  // the node is back: what is missing
  // Whoever has begun to write meanwhile goes on writing.
  if (document.activeElement === document.body) stage.focus({ preventScroll: true });
  section.dataset.ready = "yes";
}

function start() {
  open().catch(() => {
    say.wait.textContent = "The node does not answer. It is tried again.";
    document.addEventListener("live", start, { once: true });
  });
}
start();
