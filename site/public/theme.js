// What must be known before the first paint: the theme, and whether the workspace will stand beside the text. A file of its
// own, because the content security policy allows no inline script.
(() => {
  const root = document.documentElement;
  const stored = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      // Storage is switched off: everything is as usual.
      return null;
    }
  };
  const theme = stored("oz:theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  root.classList.add("has-script");
  if (!new URLSearchParams(location.search).has("exercise")) return;
  root.classList.add("has-workspace");
  const percent = Number(stored("oz:size:lesson"));
  if (percent > 5 && percent < 95) root.style.setProperty("--split-lesson", `${percent}%`);
})();
