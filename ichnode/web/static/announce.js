// Tells of positive studies that arrive, on whatever page one is: in words, with sound and notification if wanted. No
// patient is ever named.
import { say } from "./app.js";

// What was told of already is kept as long as the tab: the studies, and the newest answer. An old positive that comes
// into the news because another was signed off has not arrived.
const TOLD = "ichnode.told";

/** Return what is to be called with all news: it tells of each positive study that arrives from now on. */
export function tellingOfPositives() {
  const kept = JSON.parse(sessionStorage.getItem(TOLD) || "null");
  const told = new Set(kept?.studies);
  let newest = kept?.newest ?? null;
  return ({ positives, answers = [] }) => {
    const fresh = newest === null ? [] : positives.filter((id, at) => answers[at] > newest && !told.has(id));
    positives.forEach((id) => told.add(id));
    newest = Math.max(newest ?? 0, ...answers);
    sessionStorage.setItem(TOLD, JSON.stringify({ studies: [...told].slice(-500), newest }));
    if (fresh.length) announce(fresh);
  };
}

export const wanted = (name) => localStorage.getItem(`ichnode.${name}`) === "yes";
function announce(fresh) {
  const words = fresh.length === 1 ? "A positive study has arrived." : `${fresh.length} positive studies have arrived.`;
  say(words);
  if (wanted("sound")) tone();
  if (wanted("notify") && window.Notification?.permission === "granted" && document.hidden) {
    const note = new Notification("ichnode", { body: words, tag: "ichnode.positive" });
    note.onclick = () => { window.focus(); note.close(); };
  }
}
let audio = null;
export function tone() {
  audio ??= new AudioContext();
  audio.resume();
  [523.25, 659.25].forEach((hertz, i) => {
    const at = audio.currentTime + i * 0.22;
    const voice = audio.createOscillator();
    const loud = audio.createGain();
    voice.frequency.value = hertz;
    loud.gain.setValueAtTime(0, at);
    loud.gain.linearRampToValueAtTime(0.12, at + 0.03);
    loud.gain.exponentialRampToValueAtTime(0.001, at + 0.5);
    voice.connect(loud).connect(audio.destination);
    voice.start(at);
    voice.stop(at + 0.55);
  });
}
