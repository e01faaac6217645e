/* The customer's page renews itself. Without this script a reload does the same. */
(function () {
  "use strict";
  var box = document.getElementById("state"), say = document.getElementById("say"), cut = document.getElementById("cut");
  if (!box || !window.fetch) { return; }
  var tag = box.dataset.tag, said = sentence(), failed = 0, timer = 0, asking = false, seen = new Date();

  function sentence() {
    var now = box.querySelector("[data-say]");
    return now ? now.dataset.say : "";
  }

  function clock(at) {
    return at.toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: box.dataset.zone });
  }

  function later() {
    clearTimeout(timer);
    var wait = document.hidden ? 60000 : Math.min(60000, 10000 * Math.pow(2, failed));
    timer = setTimeout(ask, failed ? wait * (0.8 + 0.4 * Math.random()) : wait);
  }

  function renew(html) {
    var open = [].map.call(box.querySelectorAll("details[open][data-keep]"), function (one) { return one.dataset.keep; });
    var held = document.activeElement && box.contains(document.activeElement) ? document.activeElement.getAttribute("href") || "summary" : "";
    box.innerHTML = html;
    open.forEach(function (name) {
      var one = box.querySelector('details[data-keep="' + name + '"]');
      if (one) { one.open = true; }
    });
    if (held) {
      var again = held === "summary" ? box.querySelector("summary") : box.querySelector('a[href="' + held + '"]');
      if (again) { again.focus({ preventScroll: true }); }
    }
    if (sentence() !== said) { said = sentence(); say.textContent = said; }
  }

  function stop(text) {
    clearTimeout(timer);
    cut.textContent = text;
    cut.hidden = false;
  }

  function ask() {
    if (asking) { return; }
    asking = true;
    fetch(box.dataset.url, { headers: { "If-None-Match": tag }, cache: "no-store", credentials: "same-origin" }).then(function (answer) {
      if (answer.status === 404) { box.dataset.stopped = "1"; return stop(box.dataset.gone); }
      if (answer.status !== 200 && answer.status !== 304) { throw new Error(String(answer.status)); }
      failed = 0;
      seen = new Date(answer.headers.get("Date") || Date.now());
      cut.hidden = true;
      if (answer.status === 304) { return null; }
      tag = answer.headers.get("ETag") || "";
      return answer.text().then(renew);
    }).catch(function () {
      failed += 1;
      if (failed > 2) { stop(box.dataset.cut.replace("%s", clock(seen))); }
    }).then(function () {
      asking = false;
      if (!box.dataset.stopped) { later(); }
    });
  }

  document.addEventListener("visibilitychange", function () {
    if (box.dataset.stopped) { return; }
    if (document.hidden) { later(); } else { ask(); }
  });
  later();
}());
