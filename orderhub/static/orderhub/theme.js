"use strict";
/* Runs before anything is painted: a page must not flash in the other theme, nor move when the side bar folds. */
(() => {
  const root = document.documentElement;
  const read = (key) => { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => (["light", "dark"].includes(read("adminTheme")) ? read("adminTheme") : "auto");
  const apply = () => {
    const dark = chosen() === "dark" || (chosen() === "auto" && system.matches);
    root.classList.toggle("dark", dark);
    root.classList.toggle("light", !dark);
    root.dataset.theme = chosen();
  };
  root.classList.add("js");
  root.classList.toggle("side-folded", read("hub-side-folded") === true);
  apply();
  system.addEventListener("change", apply);
  window.hubTheme = {
    get chosen() { return chosen(); },
    set(theme) { localStorage.setItem("adminTheme", JSON.stringify(theme)); apply(); },
    fold(folded) { localStorage.setItem("hub-side-folded", JSON.stringify(folded)); root.classList.toggle("side-folded", folded); },
  };
})();
