"use strict";
/* The mapping editor shows results while somebody types. Without this file its "Preview" button does the same. */
(() => {
  const begin = () => {
    const form = document.getElementById("ed-form");
    if (!form || !window.hub) return;
    let timer = null;
    let turn = 0;

    const showSamples = (samples) => {
      for (const select of form.querySelectorAll(".ed-table .ed-source")) {
        const place = select.parentElement.querySelector("[data-sample]");
        if (!place) continue;
        const path = select.value.startsWith("path:") ? select.value.slice(5) : "";
        place.textContent = path && samples[path] ? `“${samples[path]}”` : "";
      }
    };
    const show = (answer) => {
      for (const [id, html] of Object.entries(answer.parts)) {
        const part = document.getElementById(id);
        if (part && part.innerHTML !== html) part.innerHTML = html;
      }
      showSamples(answer.samples);
      form.elements.at.value = answer.at;
      const place = document.getElementById("ed-place");
      if (place) place.textContent = `${answer.at + 1}/${place.dataset.count}`;
      const text = document.getElementById("ed-json");
      if (document.activeElement !== text) text.value = answer.definition;
    };
    const preview = async (action = "") => {
      const mine = ++turn;
      const data = new FormData(form);
      data.delete("file");
      if (action) data.set("do", action);
      try {
        const answer = await hub.post(form.dataset.preview, data);
        if (mine === turn) show(answer);
      } catch (error) {
        if (mine === turn) hub.toast(error.message, { kind: "danger" });
      }
    };
    const later = () => { clearTimeout(timer); timer = setTimeout(preview, 350); };

    form.addEventListener("input", (event) => {
      if (event.target.matches("[name=pasted], [name=json], [name=name], [name=file], [name=replay], [name=retry], [name=pinned]")) return;
      if (!event.isComposing) later();
    });
    form.addEventListener("change", (event) => {
      // What brings new rows into the page is drawn by the server.
      if (event.target.matches("[data-reload]") && event.target.value) form.requestSubmit(form.querySelector("button[value=preview]"));
      if (event.target.matches("[name=file]") && event.target.files.length) form.requestSubmit(form.querySelector("button[value=file]"));
    });
    form.addEventListener("click", (event) => {
      const step = event.target.closest("[data-step]");
      if (!step) return;
      event.preventDefault();
      if (!form.elements.pinned.checked) preview(step.value);
    });
    form.addEventListener("submit", () => {
      sessionStorage.setItem("ed-scroll", String(scrollY));
      dirty = false;
    });
    let dirty = false;
    form.addEventListener("input", () => { dirty = true; });
    window.addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });
    const scroll = sessionStorage.getItem("ed-scroll");
    sessionStorage.removeItem("ed-scroll");
    if (scroll && performance.getEntriesByType("navigation")[0]?.type !== "reload") scrollTo(0, Number(scroll));
    if (form.elements.kind.value) preview();
  };
  if (window.hub) begin(); else document.addEventListener("DOMContentLoaded", begin);
})();
