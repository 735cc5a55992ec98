// Sets the theme before the first paint; a file of its own because the content security policy allows no inline script.
(() => {
  let theme = "system";
  try {
    theme = localStorage.getItem("oz:theme") ?? "system";
  } catch {
    // Storage is switched off: the system's theme it is.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  document.documentElement.classList.add("has-script");
})();
