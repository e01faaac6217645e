"use strict";
/* Connections: copy buttons, the wait for a first event, and health that keeps up by itself. */
(() => {
  const copy = (button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.setAttribute("aria-pressed", "true");
      } catch {
        getSelection().selectAllChildren(source);
      }
    });
  };
  const wait = (box) => {
    const ask = async () => {
      try {
        const answer = await (await fetch(box.dataset.wait, { headers: { Accept: "application/json" } })).json();
        if (box.innerHTML !== answer.html) box.innerHTML = answer.html;
        if (answer.has_come) return;
      } catch {
        // Asked again in a moment.
      }
      setTimeout(ask, document.hidden ? 10000 : 2000);
    };
    ask();
  };
  const refresh = (list) => {
    setInterval(async () => {
      if (document.hidden || list.contains(document.activeElement)) return;
      try {
        const text = await (await fetch(location.href)).text();
        const fresh = new DOMParser().parseFromString(text, "text/html").getElementById(list.id);
        if (fresh && !list.contains(document.activeElement)) list.replaceChildren(...fresh.children);
      } catch {
        // The freshness chip in the header says that the connection is gone.
      }
    }, 15000);
  };
  const begin = () => {
    document.querySelectorAll("[data-copy]").forEach(copy);
    document.querySelectorAll("[data-wait]").forEach(wait);
    document.querySelectorAll("[data-refresh]").forEach(refresh);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin); else begin();
})();
