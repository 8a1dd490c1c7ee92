// The planes of one series in memory: which are here, which are fetched next, which are given up when there are too many.

const BUDGET_BYTES = 512 << 20;

export class Stack {
  /** `facts` is what the node says of the series; `arrived(index)` is called for every plane, `failed(status)` once. */
  constructor(facts, worker, { arrived, failed }) {
    this.facts = facts;
    this.count = facts.slices.length;
    this.planes = new Array(this.count);   // undefined: not here yet; null: cannot be read
    this.maps = new Map();                 // heat maps by slice
    this.here = 0;
    const largest = Math.max(1, ...facts.slices.map((s) => s.rows * s.columns * 2));
    this.most = Math.max(facts.part * 4, Math.floor(BUDGET_BYTES / largest));
    this.worker = worker;
    worker.onmessage = ({ data }) => {
      if (data.digest !== facts.digest) return;
      if ("status" in data) { failed(data.status); return; }
      if (this.planes[data.index] === undefined) this.here += 1;
      this.planes[data.index] = data.plane;
      arrived(data.index);
    };
    worker.onerror = () => failed(null);
    worker.postMessage({ stack: facts, parts: this.order(facts.first) });
  }

  /** Parts in the order in which they are wanted: key slices, then outwards from `index`. */
  order(index) {
    const parts = new Set();
    const take = (i) => parts.add(Math.floor(i / this.facts.part));
    take(index);
    for (const key of this.facts.keys) take(key.index);
    const reach = Math.min(this.count, this.most >> 1);
    for (let away = 1; away < reach; away += 1) {
      if (index + away < this.count) take(index + away);
      if (index - away >= 0) take(index - away);
    }
    return [...parts];
  }

  /** The eye is at `index`: what is near is fetched first, what is far is given up where memory is short. */
  near(index) {
    if (this.here === this.count) return;
    const forgotten = [];
    if (this.here > this.most) {
      const keep = new Set(this.order(index));
      for (let part = 0; part * this.facts.part < this.count; part += 1) {
        if (keep.has(part) || this.planes[part * this.facts.part] === undefined) continue;
        forgotten.push(part);
        for (let i = part * this.facts.part; i < Math.min(this.count, (part + 1) * this.facts.part); i += 1) {
          this.planes[i] = undefined;
          this.here -= 1;
        }
      }
    }
    this.worker.postMessage({ parts: this.order(index), forgotten });
  }

  /** Fetch the heat maps, all in one; one byte a pixel. */
  async fetchHeat() {
    const { heat } = this.facts;
    if (!heat) return;
    const answer = await fetch(heat.address, { credentials: "same-origin" });
    if (answer.status >= 500) throw new Error(`The node answered ${answer.status}.`);
    if (!answer.ok) return;
    const content = new Uint8Array(await answer.arrayBuffer());
    let at = 0;
    for (const { index, name } of heat.maps) {
      const { rows, columns } = this.facts.slices[index];
      this.maps.set(index, { name, values: content.subarray(at, at + rows * columns) });
      at += rows * columns;
    }
  }
}
