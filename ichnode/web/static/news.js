// News from the node: one page of this browser listens (a browser allows few connections), the others hear it from there.

const NEWS = "ichnode.news";

/** Call `changed(news)` at every change and `ended()` when the session is over. */
export function listen(changed, ended) {
  const channel = "BroadcastChannel" in window ? new BroadcastChannel(NEWS) : null;
  let latest = null;  // where this page is the one that listens
  const live = (state) => {
    const before = document.documentElement.dataset.live;
    document.documentElement.dataset.live = state;
    if (state === "yes" && before !== "yes") document.dispatchEvent(new CustomEvent("live"));
  };
  const tell = (message) => {
    if ("live" in message) live(message.live);
    else if (message.ended) ended();
    else if (message.news) changed(message.news);
  };
  const open = () => {
    const say = (message) => { tell(message); channel?.postMessage(message); };
    latest ??= { live: "no" };
    const source = new EventSource("/events");
    source.addEventListener("change", (event) => {
      latest = { ...latest, news: JSON.parse(event.data) };
      say({ news: latest.news });
    });
    source.addEventListener("ended", () => { source.close(); say({ ended: true }); });
    source.addEventListener("error", () => {
      // Closed for good is a refusal, not a node that restarts: the session is over.
      latest = { ...latest, live: "no" };
      say({ live: "no" });
      if (source.readyState === EventSource.CLOSED) setTimeout(() => check(() => say({ ended: true }), open), 2000);
    });
    source.addEventListener("open", () => { latest = { ...latest, live: "yes" }; say({ live: "yes" }); });
  };
  if (channel) {
    channel.onmessage = ({ data }) => {
      if (!data.asks) tell(data);
      else if (latest) {  // a page that has just been opened: what it missed since it was made
        channel.postMessage({ live: latest.live });
        if (latest.news) channel.postMessage({ news: latest.news });
      }
    };
    channel.postMessage({ asks: true });
  }
  if (channel && navigator.locks) navigator.locks.request(NEWS, () => new Promise(open));
  else open();
}

async function check(ended, again) {
  const answer = await fetch("/events", { method: "HEAD", headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.status === 401) ended();
  else again();
}
