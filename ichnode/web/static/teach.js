// The form of Teach: marks on single slices, what is said after something was sent, and drafts: what was typed and not
// sent yet outlasts a session that ends, a node that restarts and a page that is loaded again, in this tab alone.

import { say } from "./app.js";

// The slice that is shown, and its image (SOP Instance UID and frame): what is said is said of an image, not of a place,
// which is another image's once more slices have come.
const viewer = document.getElementById("viewer");
const numberOf = (image) => (viewer?.places?.has(image) ? `Image ${viewer.places.get(image) + 1}` : "An image");
let sent = null;

// What the model did not read cannot be marked: a slice that came later, or a whole series that was sent anew.
function tellSlice() {
  const { shown, places } = viewer ?? {};
  document.querySelectorAll("[data-slice-number]").forEach((place) => { place.textContent = shown ? shown.index + 1 : "–"; });
  document.querySelectorAll("[data-mark-add]").forEach((button) => { button.disabled = !shown?.read; });
  if (places) document.querySelectorAll("[data-marking]").forEach((one) => { one.hidden = !places.size; });
}

function tellMarks() {
  for (const mark of document.querySelectorAll("[data-marks] li")) {
    const [instance, frame] = mark.querySelector("input").value.split(":");
    mark.querySelector("[data-mark-number]").textContent = numberOf(`${instance}:${frame}`);
  }
}

document.addEventListener("slices", tellMarks);
document.addEventListener("slice", tellSlice);

function addMark(marking, instance, frame, kind, says, ...more) {
  if (!["yes", "no"].includes(says) || more.length) return;
  const image = `${instance}:${frame}`;
  const marks = marking.querySelector("[data-marks]");
  for (const older of marks.querySelectorAll("input")) {
    if (older.value.startsWith(`${image}:${kind}:`)) older.closest("li").remove();
  }
  const named = [...marking.querySelector("[data-mark-class]").options].find((one) => one.value === kind);
  const mark = document.createElement("li");
  const input = Object.assign(document.createElement("input"), { type: "hidden", name: "mark", value: `${image}:${kind}:${says}` });
  const remove = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: "✕" });
  remove.dataset.markRemove = "";
  remove.setAttribute("aria-label", "Remove this mark");
  const number = Object.assign(document.createElement("span"), { textContent: numberOf(image) });
  number.dataset.markNumber = "";
  mark.append(input, number, `: ${says === "yes" ? "" : "no "}${named.text} `, remove);
  marks.append(mark);
}

document.addEventListener("click", ({ target }) => {
  if (target.closest("[data-mark-remove]")) {
    target.closest("li").remove();
    keepDraft();
  }
  const marking = target.closest("[data-mark-add]")?.closest("[data-marking]");
  if (!marking || !viewer?.shown?.read) return;
  addMark(marking, ...viewer.shown.image.split(":"), marking.querySelector("[data-mark-class]").value, marking.querySelector("[data-mark-says]").value);
  keepDraft();
});

// Drafts

const form = () => document.querySelector("form[data-teach]");
const place = () => `ichnode.draft.${form().dataset.teach}`;
const filled = () => [...new FormData(form())].filter(([name]) => !["csrf", "take_back"].includes(name));
const asMade = () => JSON.stringify(filled());
let made = form() && asMade();

function keepDraft() {
  if (!form()) return;
  if (asMade() === made) sessionStorage.removeItem(place());
  else sessionStorage.setItem(place(), asMade());
}

function restoreDraft() {
  const draft = form() && JSON.parse(sessionStorage.getItem(place()) || "null");
  if (!draft) return;
  const comment = form().elements.comment;
  const { result } = Object.fromEntries(draft);
  if (result === form().elements.result.value) {
    const marking = form().querySelector("[data-marking]");
    marking?.querySelector("[data-marks]").replaceChildren();
    for (const radio of form().querySelectorAll("[type=radio]")) {
      radio.checked = draft.some(([name, value]) => name === radio.name && value === radio.value);
    }
    for (const [name, value] of draft) if (name === "mark" && marking) addMark(marking, ...value.split(":"));
  }
  comment.value = draft.find(([name]) => name === "comment")?.[1] ?? "";  // the rest was about another answer
  form().querySelector("details").open = true;
  say("What you had not sent yet is here again.");
}

document.addEventListener("input", ({ target }) => { if (target.closest("form[data-teach]")) keepDraft(); });
document.addEventListener("htmx:beforeRequest", ({ target }) => { if (target.matches("form[data-teach]")) sent = asMade(); });
restoreDraft();
if (viewer?.places) tellMarks();
tellSlice();

// What is said after something was sent

const DONE = { teach: "Kept. Thank you.", reading: "Done." };
document.addEventListener("htmx:afterSettle", ({ detail: { elt, requestConfig } }) => {
  const changed = document.getElementById(elt.id);
  if (!DONE[changed?.id]) return;
  tellSlice();
  if (viewer?.places) tellMarks();
  const isSent = requestConfig?.verb === "post";
  if (isSent) say(DONE[changed.id]);
  if (isSent && changed.id === "teach" && form()) {
    made = asMade();
    if (sessionStorage.getItem(place()) === sent) sessionStorage.removeItem(place());
    else restoreDraft();  // somebody went on typing meanwhile
  }
  // The focus is led back only where the exchange took it away: whoever is somewhere else already, stays there.
  if (document.activeElement && document.activeElement !== document.body) return;
  const title = changed.querySelector("h2");
  title.tabIndex = -1;
  title.focus({ preventScroll: true });
});
