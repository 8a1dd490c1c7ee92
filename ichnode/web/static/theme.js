// Before the first paint: the theme that was chosen on this machine, else the system's.
(() => {
  const chosen = () => {
    try { return localStorage.getItem("ichnode.theme"); } catch { return null; }
  };
  const dark = matchMedia("(prefers-color-scheme: light)");
  const apply = () => {
    document.documentElement.dataset.theme = chosen() || (dark.matches ? "light" : "dark");
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("ichnode.theme", next); } catch { /* private window: for this page only */ }
    document.documentElement.dataset.theme = next;
  });
})();
