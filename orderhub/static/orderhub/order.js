/* The order's page: keys, the undo toast, and what is new while it is open. Everything here works without it, by reload. */
(function () {
  "use strict";
  var page = document.querySelector("article.order");
  if (!page || !window.hub) { return; }
  var texts = JSON.parse(document.getElementById("order-texts").textContent);

  function go(selector) {
    var link = page.ownerDocument.querySelector(selector);
    if (link) { link.click(); }
  }

  /* A part in which somebody types, or has opened a form, is left alone. */
  function isBusy(part) {
    if (part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) { return true; }
    return Array.prototype.some.call(part.querySelectorAll("input:not([type=hidden]), textarea, select"), function (field) {
      return field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== (field.defaultValue || "");
    });
  }

  function openDo(code) {
    var box = document.getElementById("do-" + code);
    if (!box) { return false; }
    for (var outer = box; outer; outer = outer.parentElement) { if (outer.tagName === "DETAILS") { outer.open = true; } }
    var field = box.querySelector("input:not([type=hidden]), textarea, select, button");
    box.scrollIntoView({ block: "center" });
    if (field) { field.focus(); }
    return true;
  }

  function toOpened() {
    var match = /^#do-(.+)$/.exec(location.hash);
    if (match) { openDo(match[1]); }
  }

  /* New entries wait behind a pill: a line that is being read does not move. */
  var waiting = null;
  function knownFacts() {
    return new Set(Array.prototype.map.call(page.querySelectorAll("[data-timeline] [data-fact]"), function (one) { return one.dataset.fact; }));
  }
  function parsed(html) {
    var box = document.createElement("template");
    box.innerHTML = html;
    return box.content;
  }
  function offerNew(html) {
    var pill = page.querySelector("[data-pill]"), known = knownFacts();
    var fresh = Array.prototype.filter.call(parsed(html).querySelectorAll("[data-timeline] [data-fact]"), function (one) { return !known.has(one.dataset.fact); });
    if (!fresh.length || page.hasAttribute("data-paged")) { return; }
    waiting = html;
    var button = document.createElement("button");
    button.type = "button";
    button.className = "pill";
    button.textContent = fresh.length === 1 ? texts.new_one : texts.new_many.replace("%(n)s", fresh.length);
    button.addEventListener("click", showNew);
    pill.replaceChildren(button);
    pill.hidden = false;
    hub.announce(button.textContent);
  }
  function showNew() {
    if (!waiting) { return; }
    var part = page.querySelector('[data-part="timeline"]'), known = knownFacts(), pill = page.querySelector("[data-pill]");
    part.replaceChildren(parsed(waiting));
    waiting = null;
    pill.hidden = true;
    part.querySelectorAll("[data-timeline] [data-fact]").forEach(function (one) { if (!known.has(one.dataset.fact)) { one.classList.add("entry-new"); } });
    var first = part.querySelector("[data-timeline] [data-fact]");
    if (first) { first.tabIndex = -1; first.focus({ preventScroll: true }); }
  }

  function remembered(part) {
    return Array.prototype.map.call(part.querySelectorAll("details"), function (one) { return one.open; });
  }
  /* What has the focus, so that its successor can have it: the same kind of thing with the same address or words, whatever numbers they say. */
  function named(one) { return one.tagName + " " + (one.getAttribute("href") || one.textContent.replace(/\d+/g, "").trim()); }
  function put(part, html) {
    var open = remembered(part), focused = part.contains(document.activeElement) ? named(document.activeElement) : null;
    part.replaceChildren(parsed(html));
    part.querySelectorAll("details").forEach(function (one, place) { if (place < open.length) { one.open = open[place]; } });
    if (!focused) { return; }
    var same = Array.prototype.find.call(part.querySelectorAll("a[href], button, summary, [tabindex]"), function (one) { return named(one) === focused; });
    if (same) { same.focus({ preventScroll: true }); }
  }

  var asking = false, again = false;
  function refresh() {
    if (asking) { again = true; return; }
    asking = true;
    fetch(page.dataset.live, { headers: { Accept: "application/json" }, credentials: "same-origin" })
      .then(function (answer) { return answer.ok ? answer.json() : null; })
      .then(function (news) { if (news) { take(news); } })
      .catch(function () { /* The freshness chip says that the line is cut; what is shown stays. */ })
      .then(function () { asking = false; if (again) { again = false; refresh(); } });
  }
  function take(news) {
    var left = false;
    Object.keys(news.fragments).forEach(function (name) {
      var part = page.querySelector('[data-part="' + name + '"]');
      if (!part) { return; }
      if (name === "timeline") { offerNew(news.fragments[name]); return; }
      if (isBusy(part)) { left = true; return; }
      put(part, news.fragments[name]);
    });
    /* Each form brings its own "seen": one that was left alone must not say that it was opened with what came since. */
    if (left) { hub.toast(texts.changed, { kind: "info" }); }
  }

  hub.onready(function () {
    var me = page.dataset.order;
    if (window.matchMedia("(max-width: 40rem)").matches) {
      page.querySelectorAll(".order-side details[data-fold]").forEach(function (one) { one.open = false; });
    }
    toOpened();
    window.addEventListener("hashchange", toOpened);
    page.addEventListener("click", function (event) {
      var link = event.target.closest('a[href^="#do-"]');
      if (link && openDo(link.getAttribute("href").slice(4))) { event.preventDefault(); }
    });
    var undo = page.querySelector("[data-undo-toast]");
    if (undo) {
      hub.toast(undo.dataset.undoToast, { undo: function () { undo.submit(); }, kind: "ok" });
      var url = new URL(location.href);
      url.searchParams.delete("undo");
      history.replaceState(null, "", url);
    }
    hub.keys.on("n", function () { go('[data-around="next"]'); }, { help: texts.key_next });
    hub.keys.on("p", function () { go('[data-around="previous"]'); }, { help: texts.key_previous });
    hub.keys.on("m", function () { openDo("note"); }, { help: texts.key_note });
    hub.keys.on("e", function () { go("[data-next]"); }, { help: texts.key_act });
    hub.keys.on("R", showNew, { help: texts.key_refresh });
    if (page.querySelector("[data-customer-link]")) {
      hub.keys.on("c", function () {
        navigator.clipboard.writeText(page.querySelector("[data-customer-link]").href).then(function () { hub.toast(texts.copied, { kind: "ok" }); });
      }, { help: texts.key_copy });
      hub.keys.on("v", function () { go("[data-customer-link]"); }, { help: texts.key_view });
    }
    if (hub.live) {
      hub.live.on(function (change) {
        if ((change.orders || []).some(function (id) { return String(id) === me; })) { refresh(); }
      });
    }
  });
})();
