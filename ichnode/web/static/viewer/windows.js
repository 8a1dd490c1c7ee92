// Windows on Hounsfield units, the function LINEAR_EXACT of PS3.3 C.11.2.1.3.2, and the colours of a heat map.

export const PRESETS = {
  brain: { level: 40, width: 80 },
  subdural: { level: 75, width: 215 },
  bone: { level: 600, width: 2800 },
  stroke: { level: 40, width: 40 },
};
export const LOWEST = -1024;
const DENSEST = 3071;

/** One opaque grey (ABGR, as a little-endian canvas has it) for each Hounsfield unit from LOWEST up. */
export function greys({ level, width }) {
  const table = new Uint32Array(DENSEST - LOWEST + 1);
  const low = level - width / 2;
  for (let hu = LOWEST; hu <= DENSEST; hu += 1) {
    const grey = Math.round(Math.min(1, Math.max(0, (hu - low) / width)) * 255);
    table[hu - LOWEST] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return table;
}

// Inferno, and the same limits as the pictures that are sent: faintest, fully opaque, darkest colour.
const INFERNO = [
  [0, 0, 4], [33, 12, 74], [86, 16, 110], [137, 34, 106], [187, 55, 84], [227, 89, 50], [249, 140, 10], [249, 201, 50],
  [252, 255, 164],
];
const FAINTEST = 0.1, FULL = 0.4, DARKEST = 0.25;

/** One colour (ABGR) for each activation 0..255; what is faint is transparent. */
export function heatColours() {
  const table = new Uint32Array(256);
  for (let value = 0; value < 256; value += 1) {
    const activation = value / 255;
    const at = (DARKEST + (1 - DARKEST) * activation) * (INFERNO.length - 1);
    const below = Math.min(INFERNO.length - 2, Math.floor(at));
    const [red, green, blue] = INFERNO[below].map((from, c) => Math.round(from + (INFERNO[below + 1][c] - from) * (at - below)));
    const opacity = Math.round(255 * Math.min(1, Math.max(0, (activation - FAINTEST) / (FULL - FAINTEST))));
    table[value] = (opacity << 24 | blue << 16 | green << 8 | red) >>> 0;
  }
  return table;
}
