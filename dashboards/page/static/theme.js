// Runs before the page is drawn, so that the chosen theme does not flash in late.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // No storage: the system's preference it is.
  }
})();
