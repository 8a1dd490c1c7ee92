// Parts of a page that renew themselves: one request at a time, no news forgotten meanwhile, and never between the press
// and the release of a button: what one is about to click must neither go away nor become something else.

const LONGEST_PRESS_MS = 3000;
const waiting = new Set();
let pressedAt = null;

const held = () => pressedAt !== null && performance.now() - pressedAt < LONGEST_PRESS_MS;
const press = () => { pressedAt = performance.now(); };
const release = () => setTimeout(() => {  // after the click that follows
  pressedAt = null;
  [...waiting].forEach((renew) => renew());
});
addEventListener("pointerdown", press, true);
addEventListener("pointerup", release, true);
addEventListener("pointercancel", release, true);
addEventListener("keydown", ({ key }) => { if (key === " ") press(); }, true);
addEventListener("keyup", ({ key }) => { if (key === " ") release(); }, true);

/** Return a function that fetches `address()` in place of the element `#id`; while `keep()` holds the old one stays. */
export function renewing(id, address, keep = () => false) {
  const stays = () => held() || keep();
  let asking = false, again = false, scrolled = [];
  const wide = () => [...document.querySelectorAll(`#${id} .wide`)];
  const renew = async () => {
    waiting.delete(renew);
    if (asking) { again = true; return; }
    if (stays()) { waiting.add(renew); return; }
    asking = true;
    do {
      again = false;
      await htmx.ajax("GET", address(), { target: `#${id}`, swap: "outerHTML" }).catch(() => {});
    } while (again);
    asking = false;
  };
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target.id !== id) return;
    scrolled = wide().map((one) => one.scrollLeft);
    if (detail.requestConfig.verb !== "get" || !stays()) return;
    detail.shouldSwap = false;
    waiting.add(renew);
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target.id === id) wide().forEach((one, i) => { one.scrollLeft = scrolled[i] ?? 0; });
  });
  return renew;
}
