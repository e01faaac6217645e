"use strict";
document.addEventListener("click", (event) => {
  const wanted = event.target.closest("[data-try]");
  if (!wanted) return;
  if (wanted.dataset.try === "toast") hub.toast(wanted.textContent, { undo: () => hub.announce(wanted.textContent) });
  else hub.dialog(document.getElementById("style-dialog"));
});
