// What every page needs: the token against forged requests, sentences for people, and what happens when a session ends.

export const csrf = document.querySelector("meta[name=csrf]").content;

// How high the banner is depends on the window and the letters; nothing may come to rest behind it.
const banner = document.querySelector(".banner");
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--banner-height", `${banner.offsetHeight}px`);
}).observe(banner);

/** Say one sentence at the foot of the page; screen readers read it out. */
export function say(sentence) {
  const place = document.getElementById("said");
  place.textContent = sentence;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { place.textContent = ""; }, 8000);
}

let leaving = false;

/** Lead to the sign-in page and back here; the patients on this page go away with it. */
export function signIn() {
  if (leaving) return;  // what was on its way when somebody signs out is refused, too
  location.replace(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** fetch() with the session's token; an error says its sentence and is thrown. */
export async function ask(address, options = {}) {
  const headers = { Accept: "application/json", "X-CSRF-Token": csrf, ...options.headers };
  const answer = await fetch(address, { credentials: "same-origin", ...options, headers });
  if (answer.status === 401) { signIn(); throw new Error("signed out"); }
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    const sentence = said?.error?.sentence || `The node answered ${answer.status}.`;
    say(sentence);
    throw new Error(sentence);
  }
  return answer;
}

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRF-Token"] = csrf;
  event.detail.headers.Accept = "text/html-fragment, application/json";
});
document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  if (status === 401) { signIn(); return; }
  let sentence = `The node answered ${status}.`;
  try { sentence = JSON.parse(responseText).error.sentence; } catch { /* not JSON */ }
  say(sentence);
});
document.addEventListener("htmx:sendError", ({ detail }) => {
  const asked = detail.requestConfig.verb === "get";
  say(asked ? "The node does not answer. It is tried again." : "The node does not answer; nothing was sent. Send it again in a moment.");
});

document.addEventListener("submit", (event) => {
  if ("leave" in event.target.dataset) {
    leaving = true;
    sessionStorage.clear();  // drafts go with whoever wrote them
  }
});
