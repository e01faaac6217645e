// Compares a PDF with the fingerprint that stands in the log. The file stays here: it is read, hashed and forgotten.
(function () {
  "use strict";
  const place = document.getElementById("file");
  const field = document.getElementById("pdf");
  const verdict = document.getElementById("file-verdict");
  if (!place || !field || !verdict) return;

  function say(name, meaning) {
    verdict.textContent = place.dataset[name];
    verdict.className = meaning ? `verdict-${meaning}` : "";
    verdict.hidden = false;
  }

  function hex(buffer) {
    return Array.from(new Uint8Array(buffer), (one) => one.toString(16).padStart(2, "0")).join("");
  }

  let asked = 0;

  async function check(file) {
    if (!file) return;
    const mine = ++asked;
    say("working", "");
    try {
      const found = hex(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
      if (mine !== asked) return;
      const isSame = found === place.dataset.sha256;
      say(isSame ? "same" : "other", isSame ? "ok" : "danger");
    } catch {
      // Never green when nothing was checked.
      if (mine === asked) say("unable", "stale");
    }
  }

  // Absent on plain http: nothing can be computed there, and that is said.
  if (!window.crypto || !crypto.subtle) {
    say("unable", "stale");
    return;
  }
  field.closest("p").hidden = false;
  field.addEventListener("change", () => check(field.files[0]));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("dropping");
  });
  addEventListener("dragleave", () => place.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("dropping");
    check(event.dataTransfer.files[0]);
  });
})();
