"use strict";
/* An import: the file may be dropped, and its progress is asked for every second. Without this file the page reloads. */
(() => {
  const progress = (box) => {
    const ask = async () => {
      try {
        const response = await fetch(box.dataset.progress, { headers: { Accept: "application/json" } });
        const answer = await response.json();
        box.innerHTML = answer.html;
        if (!answer.is_open) { location.reload(); return; }
      } catch {
        // The next second asks again.
      }
      setTimeout(ask, 900);
    };
    setTimeout(ask, 500);
  };
  const drop = (area) => {
    const input = area.querySelector("input[type=file]");
    const name = area.querySelector("[data-dropped]");
    const stop = (event) => { event.preventDefault(); area.classList.toggle("over", event.type !== "dragleave" && event.type !== "drop"); };
    for (const type of ["dragenter", "dragover", "dragleave", "drop"]) area.addEventListener(type, stop);
    area.addEventListener("drop", (event) => {
      if (!event.dataTransfer.files.length) return;
      input.files = event.dataTransfer.files;
      name.textContent = input.files[0].name;
    });
  };
  const begin = () => {
    const box = document.querySelector("[data-progress]");
    if (box) progress(box);
    const area = document.querySelector("[data-drop]");
    if (area) drop(area);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin); else begin();
})();
