// The worklist renews itself without losing the reader's place, tells of new positives if wanted, and needs no mouse.
import { tellingOfPositives, tone, wanted } from "./announce.js";
import { say, signIn } from "./app.js";
import { listen } from "./news.js";
import { renewing } from "./renew.js";

const list = () => document.getElementById("list");
const links = () => [...document.querySelectorAll("#list a.open")];

const tellOfPositives = tellingOfPositives();
listen((news) => {
  tellOfPositives(news);
  renew();
}, signIn);
const renew = renewing("list", () => list().dataset.again);
setInterval(renew, 60_000);  // durations grow without news

// The reader's place: the row in focus, else the one that the mouse is being moved to, else the first row in sight, stays
// where it is on the screen.
const AIMING_MS = 1500;
let anchor = null, moved = -AIMING_MS;
addEventListener("pointermove", () => { moved = performance.now(); });
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "list" || !event.detail.shouldSwap) return;
  const focused = document.activeElement?.closest?.("#list tr");
  const held = focused || (performance.now() - moved < AIMING_MS && document.querySelector("#list tbody tr:hover"));
  const seen = [...document.querySelectorAll("#list tbody tr")].find((row) => row.getBoundingClientRect().bottom > 0);
  const row = held || (scrollY > 80 ? seen : null);
  anchor = row && { id: row.id, top: row.getBoundingClientRect().top };
  anchor ||= { id: "", top: 0 };
  anchor.place = focused ? links().indexOf(document.activeElement) : -1;
  anchor.rows = new Set([...document.querySelectorAll("#list tbody tr")].map((one) => one.id));
});
document.addEventListener("htmx:afterSettle", () => {
  if (!anchor) return;
  for (const row of document.querySelectorAll("#list tr.unread.positive")) {
    if (!anchor.rows.has(row.id)) row.classList.add("fresh");
  }
  const row = anchor.id && document.getElementById(anchor.id);
  if (row) scrollBy({ top: row.getBoundingClientRect().top - anchor.top, behavior: "instant" });
  else if (anchor.place >= 0) links()[Math.min(anchor.place, links().length - 1)]?.focus();  // it is on this page no more
  anchor = null;
});

// Sound and notification: off until somebody wants them on this machine.
for (const name of ["sound", "notify"]) {
  const button = document.getElementById(name);
  button.setAttribute("aria-pressed", String(wanted(name)));
  button.addEventListener("click", async () => {
    const on = !wanted(name);
    if (on && name === "notify") {
      if (!window.Notification || (await Notification.requestPermission()) !== "granted") {
        say("This browser does not allow notifications here.");
        return;
      }
    }
    localStorage.setItem(`ichnode.${name}`, on ? "yes" : "no");
    button.setAttribute("aria-pressed", String(on));
    if (on && name === "sound") tone();
  });
}
// Where the list goes on on further pages, all of it is made ready on a page of its own.
document.getElementById("print").addEventListener("click", (event) => {
  if (document.querySelector("#next, #previous")) return;
  event.preventDefault();
  print();
});

// Keys.
const dialog = document.getElementById("key-list");
document.getElementById("keys").addEventListener("click", () => dialog.showModal());
document.getElementById("read").addEventListener("change", (event) => event.target.form.requestSubmit());
function step(by) {
  const all = links();
  const at = all.indexOf(document.activeElement);
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
  next?.focus();
  next?.closest("tr").scrollIntoView({ block: "nearest" });
}
const tabs = ["all", "positive", "failed", "waiting", "running", "not_analysed", "negative", "retracted"];
const keys = {
  j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
  t: () => { scrollTo({ top: 0 }); links()[0]?.focus(); },
  n: () => document.getElementById("next")?.click(), p: () => document.getElementById("previous")?.click(),
  "/": () => document.getElementById("text").select(),
  "?": () => dialog.showModal(),
  u: () => {
    const read = document.getElementById("read");
    read.value = read.value === "no" ? "" : "no";
    read.form.requestSubmit();
  },
};
tabs.forEach((tab, i) => { keys[String(i)] = () => document.getElementById(`tab-${tab}`)?.click(); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") { event.target.blur(); links()[0]?.focus(); }
    return;
  }
  const act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});
