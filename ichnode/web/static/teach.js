// The form of Teach: marks on single slices, and what is said after something was sent.

import { say } from "./app.js";

let shown = 0;

const tellNumber = () => document.querySelectorAll("[data-slice-number]").forEach((place) => { place.textContent = shown + 1; });

document.addEventListener("slice", (event) => { shown = event.detail.index; tellNumber(); });

document.addEventListener("click", ({ target }) => {
  if (target.closest("[data-mark-remove]")) target.closest("li").remove();
  const marking = target.closest("[data-mark-add]")?.closest("[data-marking]");
  if (!marking) return;
  const says = marking.querySelector("[data-mark-says]"), kind = marking.querySelector("[data-mark-class]");
  const marks = marking.querySelector("[data-marks]");
  for (const older of marks.querySelectorAll("input")) {
    if (older.value.startsWith(`${shown}:${kind.value}:`)) older.closest("li").remove();
  }
  const mark = document.createElement("li");
  const input = Object.assign(document.createElement("input"), { type: "hidden", name: "mark", value: `${shown}:${kind.value}:${says.value}` });
  const remove = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: "✕" });
  remove.dataset.markRemove = "";
  remove.setAttribute("aria-label", "Remove this mark");
  const words = `Image ${shown + 1}: ${says.value === "yes" ? "" : "no "}${kind.selectedOptions[0].text} `;
  mark.append(input, words, remove);
  marks.append(mark);
});

const DONE = { teach: "Kept. Thank you.", reading: "Done." };
document.addEventListener("htmx:afterSettle", ({ detail: { elt, requestConfig } }) => {
  const place = document.getElementById(elt.id);
  if (!DONE[place?.id]) return;
  tellNumber();
  if (requestConfig?.verb === "post") say(DONE[place.id]);
  // The focus is led back only where the exchange took it away: whoever is somewhere else already, stays there.
  if (document.activeElement && document.activeElement !== document.body) return;
  const title = place.querySelector("h2");
  title.tabIndex = -1;
  title.focus({ preventScroll: true });
});
