// The worker that fetches and unpacks planes, so that scrolling never waits for either. The nearest to the eye come first.

const AT_ONCE = 3;
let stack = null;
let wanted = [];          // parts still to come, the most wanted last
const asked = new Set();
let running = 0;

onmessage = ({ data }) => {
  if (data.stack) {
    stack = data.stack;
    asked.clear();
  }
  wanted = data.parts.filter((part) => !asked.has(part)).reverse();
  for (const part of data.forgotten ?? []) asked.delete(part);
  while (running < AT_ONCE && wanted.length) next();
};

function next() {
  const part = wanted.pop();
  if (part === undefined) return;
  asked.add(part);
  running += 1;
  fetchPart(stack, part).finally(() => {
    running -= 1;
    next();
  });
}

async function fetchPart(of, part) {
  try {
    const answer = await fetch(`${of.planes}/${part}`, { credentials: "same-origin" });
    if (!answer.ok) {
      if (answer.status >= 500) asked.delete(part);  // it may be there the next time
      postMessage({ digest: of.digest, part, status: answer.status });
      return;
    }
    const content = await answer.arrayBuffer();
    let at = 0;
    for (let index = part * of.part; at < content.byteLength; index += 1) {
      const length = new DataView(content).getUint32(at, true);
      const { rows, columns } = of.slices[index];
      const plane = length ? unfold(new Uint8Array(content, at + 4, length), rows, columns) : null;
      postMessage({ digest: of.digest, index, plane }, plane ? [plane.buffer] : []);
      at += 4 + length;
    }
  } catch {
    asked.delete(part);
    postMessage({ digest: of.digest, part, status: 0 });
  }
}

/** Undo what `ichnode.core.planes.encode` did: low bytes, then high bytes, of folded differences along each row. */
function unfold(bytes, rows, columns) {
  const count = rows * columns;
  const plane = new Int16Array(count);
  for (let row = 0, at = 0; row < rows; row += 1) {
    let value = 0;
    for (const end = at + columns; at < end; at += 1) {
      const folded = bytes[at] | (bytes[count + at] << 8);
      value = (value + ((folded >> 1) ^ -(folded & 1))) << 16 >> 16;
      plane[at] = value;
    }
  }
  return plane;
}
