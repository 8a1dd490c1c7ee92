// An open study page hears what happens to its study elsewhere: a newer answer, somebody who signs off.
import { tellingOfPositives } from "./announce.js";
import { say, signIn } from "./app.js";
import { listen } from "./news.js";
import { renewing } from "./renew.js";

const page = document.querySelector("[data-study]");
const reading = () => document.getElementById("reading");
const renewReading = renewing("reading", () => `/studies/${page.dataset.study}/reading`);

const tellOfPositives = tellingOfPositives();

listen(async (news) => {
  tellOfPositives(news);
  const answer = await fetch(`/studies/${page.dataset.study}/news`, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) return;
  const { latest, state, read_by: readBy, pictures_to_come: toCome } = await answer.json();
  const pictures = page.querySelector("[data-pictures]");
  if (pictures && !toCome) {
    const link = Object.assign(document.createElement("a"), { href: location.href, textContent: "Show them" });
    pictures.replaceChildren("Heat maps and pictures are there. ", link);
  }
  if (state !== page.dataset.state) {
    page.querySelector("[data-newer-words]").textContent = changed(latest, state);
    page.querySelector("[data-newer]").hidden = false;
  }
  if ((readBy ?? "") !== reading().dataset.readBy) {
    if (readBy) say(`Read by ${readBy}.`);
    renewReading();
  }
}, signIn);

/** What made the page out of date: its state counts the newest answer, those taken back, and series that grew. */
function changed(latest, state) {
  if (String(latest ?? "") !== page.dataset.latest) return "A newer answer came while you look.";
  const [now, shown] = [state, page.dataset.state].map((one) => one.split("."));
  return now[1] === shown[1] ? "More slices came while you look." : "An answer was taken back while you look.";
}

// What is signed off is what this page shows, although the card of the reading has been made anew meanwhile.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.parameters.seen === undefined) return;  // another form
  detail.parameters.seen = page.dataset.latest;
  detail.parameters.state = page.dataset.state;
});
