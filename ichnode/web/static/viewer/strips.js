// The scores of all slices, one strip for each class: bars against the threshold; a click, or a drag, goes to a slice.

export class Strips {
  /** `places` are the canvases of the classes in the order of the scores; `go(index)` jumps. */
  constructor(places, facts, go) {
    this.places = places;
    this.facts = facts;
    this.index = 0;
    for (const canvas of places) {
      const jump = (event) => {
        const box = canvas.getBoundingClientRect();
        go(Math.min(facts.slices.length - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * facts.slices.length))));
      };
      canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); jump(event); });
      canvas.addEventListener("pointermove", (event) => { if (canvas.hasPointerCapture(event.pointerId)) jump(event); });
      new ResizeObserver(() => this.draw()).observe(canvas);
    }
    this.bars = new Map();
  }

  show(index) {
    this.index = index;
    this.draw(false);
  }

  draw(anew = true) {
    this.places.forEach((canvas, column) => {
      if (anew || !this.bars.has(canvas)) this.bars.set(canvas, this.drawBars(canvas, column));
      const context = canvas.getContext("2d");
      const { width, height } = canvas;
      context.clearRect(0, 0, width, height);
      context.drawImage(this.bars.get(canvas), 0, 0);
      const step = width / this.facts.slices.length;
      const left = Math.floor(this.index * step), wide = Math.max(4, Math.ceil(step));
      context.strokeStyle = "#070a0d";
      context.lineWidth = 4;
      context.strokeRect(left, 0, wide, height);
      context.strokeStyle = "#fff";
      context.lineWidth = 2;
      context.strokeRect(left + 1, 1, wide - 2, height - 2);
    });
  }

  drawBars(canvas, column) {
    const ratio = Math.min(2, devicePixelRatio || 1);
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    const made = document.createElement("canvas");
    made.width = canvas.width;
    made.height = canvas.height;
    const context = made.getContext("2d");
    const { slices, thresholds } = this.facts;
    const { width, height } = made;
    const step = width / slices.length;
    context.fillStyle = "#161d24";
    context.fillRect(0, 0, width, height);
    slices.forEach(({ scores }, index) => {
      if (!scores) return;  // a slice that the model has not read
      const score = scores[column];
      context.fillStyle = score >= thresholds[column] ? "#ffb95c" : "#5d7385";
      const high = Math.max(ratio, score * height);
      const left = Math.floor(index * step);
      context.fillRect(left, height - high, Math.max(1, Math.floor((index + 1) * step) - left - (step > 4 ? 1 : 0)), high);
    });
    if (!thresholds.length) return made;
    context.fillStyle = "#9aa9b5";
    const line = Math.round((1 - thresholds[column]) * (height - 1));
    for (let x = 0; x < width; x += 6 * ratio) context.fillRect(x, line, 3 * ratio, 1);
    return made;
  }
}
