// An open study page hears what happens to its study elsewhere: a newer answer, somebody who signs off.
import { say, signIn } from "./app.js";
import { listen } from "./news.js";
import { renewing } from "./renew.js";

const page = document.querySelector("[data-study]");
const reading = () => document.getElementById("reading");
const renewReading = renewing("reading", () => `/studies/${page.dataset.study}/reading`);

listen(async () => {
  const answer = await fetch(`/studies/${page.dataset.study}/news`, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) return;
  const { latest, read_by: readBy, pictures_to_come: toCome } = await answer.json();
  const pictures = page.querySelector("[data-pictures]");
  if (pictures && !toCome) {
    const link = Object.assign(document.createElement("a"), { href: location.href, textContent: "Show them" });
    pictures.replaceChildren("Heat maps and pictures are there. ", link);
  }
  if (String(latest ?? "") !== page.dataset.latest) page.querySelector("[data-newer]").hidden = false;
  if ((readBy ?? "") !== reading().dataset.readBy) {
    if (readBy) say(`Read by ${readBy}.`);
    renewReading();
  }
}, signIn);
