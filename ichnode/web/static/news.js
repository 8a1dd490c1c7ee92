// News from the node: one page of this browser listens (a browser allows few connections), the others hear it from there.

const NEWS = "ichnode.news";

/** Call `changed(news)` at every change and `ended()` when the session is over. */
export function listen(changed, ended) {
  const channel = "BroadcastChannel" in window ? new BroadcastChannel(NEWS) : null;
  if (channel) channel.onmessage = ({ data }) => (data.ended ? ended() : changed(data));
  const open = () => {
    const source = new EventSource("/events");
    source.addEventListener("change", (event) => {
      const news = JSON.parse(event.data);
      changed(news);
      channel?.postMessage(news);
    });
    source.addEventListener("ended", () => { source.close(); channel?.postMessage({ ended: true }); ended(); });
    source.addEventListener("error", () => {
      // Closed for good is a refusal, not a node that restarts: the session is over.
      document.documentElement.dataset.live = "no";
      if (source.readyState === EventSource.CLOSED) setTimeout(() => check(ended, open), 2000);
    });
    source.addEventListener("open", () => { document.documentElement.dataset.live = "yes"; });
    return source;
  };
  if (channel && navigator.locks) navigator.locks.request(NEWS, () => new Promise(open));
  else open();
}

async function check(ended, again) {
  const answer = await fetch("/events", { method: "HEAD", headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.status === 401) ended();
  else again();
}
