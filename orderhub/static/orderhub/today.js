"use strict";
/* Today: keys 1 to 9 open a tile's list, and the numbers keep up every 15 seconds without moving the page. */
(() => {
  const EVERY = 15000;
  const page = document.getElementById("today");
  if (!page || !window.hub) return;

  for (let number = 1; number < 10; number += 1) {
    const tile = () => page.querySelector(`[data-tile="${number}"]`);
    hub.keys.on(String(number), () => tile().click(), { help: number === 1 ? page.dataset.keyHelp : "", when: tile });
  }

  /* A part is replaced only where something differs, never while the focus is in it, and stays as open as it was. */
  const patch = (fresh) => {
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = page.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!old || old.innerHTML === part.innerHTML) continue;
      if (old.contains(document.activeElement)) patchText(old, part);
      else {
        part.querySelectorAll("details").forEach((one, place) => { one.open = old.querySelectorAll("details")[place]?.open ?? false; });
        old.innerHTML = part.innerHTML;
      }
    }
  };
  const patchText = (old, part) => {
    for (const fresh of part.querySelectorAll("[data-key]")) {
      const place = old.querySelector(`[data-key="${fresh.dataset.key}"]`);
      if (!place || place.contains(document.activeElement)) {
        if (place) place.querySelector(".num")?.replaceChildren(...(fresh.querySelector(".num")?.childNodes ?? []));
        continue;
      }
      place.innerHTML = fresh.innerHTML;
      place.className = fresh.className;
      place.href = fresh.href;
    }
  };

  let busy = false;
  const refresh = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const response = await fetch(location.href, { headers: { "X-Fragment": "1" }, cache: "no-store", redirect: "error" });
      if (response.ok) patch(new DOMParser().parseFromString(await response.text(), "text/html"));
    } catch {
      // The chip in the header says that nothing answers; the numbers stay.
    } finally {
      busy = false;
    }
  };
  setInterval(refresh, EVERY);
  document.addEventListener("visibilitychange", refresh);
})();
