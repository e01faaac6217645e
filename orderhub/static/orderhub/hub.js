"use strict";
/* Every staff screen: keys, dialogs, toasts, posting, counting down. One global: hub. Pages work without it. */
(() => {
  const ready = [];
  const read = (id) => JSON.parse(document.getElementById(id)?.textContent || "{}");
  const config = { urls: {}, texts: {}, shortcuts: true, ...read("hub-config") };
  for (const more of document.querySelectorAll('script[type="application/json"][id$="-texts"]')) {
    Object.assign(config.texts, JSON.parse(more.textContent));
  }
  // The device's clock may be hours off: everything counts from the server's.
  const offset = config.now ? Date.parse(config.now) - Date.now() : 0;
  const now = () => new Date(Date.now() + offset);

  const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (_all, name) => String(values[name] ?? ""));
  const text = (key, values = {}) => fill(config.texts[key] ?? key, values);

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  };
  const icon = (name) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    svg.setAttribute("class", `icon icon-${name}`);
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `${config.urls.icons}#${name}`);
    svg.append(use);
    return svg;
  };

  /* Keys. A key is "j", "Shift+x", "Escape", "Ctrl+k", or two in turn: "g b". */
  const bindings = new Map();
  let prefix = "";
  let prefixUntil = 0;
  const name = (event) => {
    const shifted = event.shiftKey && (event.key.length > 1 || /^[a-z ]$/i.test(event.key));
    const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
    return (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (event.altKey ? "Alt+" : "") + (shifted ? "Shift+" : "") + key;
  };
  const typing = (target) =>
    target instanceof HTMLElement && (target.isContentEditable || target.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=submit])"));
  const allowed = (key, event) => {
    if (key === "Escape" || key.startsWith("Ctrl+")) return true;
    return config.shortcuts && !typing(event.target);
  };
  const run = (key, event) => {
    const found = (bindings.get(key) || []).filter((one) => !one.when || one.when());
    const last = found.at(-1);
    if (!last || !allowed(key, event)) return false;
    event.preventDefault();
    last.fn(event);
    return true;
  };
  const pressed = (event) => {
    if (event.defaultPrevented || event.isComposing || event.keyCode === 229) return;
    const key = name(event);
    // An open dialog answers its own keys: the browser closes it by Esc.
    if (document.querySelector("dialog[open]") && !key.startsWith("Ctrl+")) return;
    if (prefix && Date.now() < prefixUntil) {
      const whole = `${prefix} ${key}`;
      prefix = "";
      if (run(whole, event)) return;
    }
    prefix = "";
    if (run(key, event)) return;
    const begins = [...bindings.keys()].some((one) => one.startsWith(`${key} `));
    if (begins && allowed(key, event)) {
      prefix = key;
      prefixUntil = Date.now() + 1500;
    }
  };
  const keys = {
    /** on(key, fn, {help, when}): help is the line in the overlay, when() says whether it counts just now. */
    on(key, fn, { help = "", when = null } = {}) {
      bindings.set(key, [...(bindings.get(key) || []), { fn, help, when }]);
    },
    list() {
      return [...bindings].flatMap(([key, all]) => all.filter((one) => one.help).map((one) => ({ key, help: one.help })));
    },
  };

  /* Dialogs: the browser's own, so that focus stays inside and comes back. */
  const dialog = (source, { sheet = false } = {}) =>
    new Promise((done) => {
      const before = document.activeElement;
      const inner = source instanceof HTMLTemplateElement ? source.content.cloneNode(true) : source;
      const box = inner instanceof HTMLDialogElement ? inner : make("dialog", { class: sheet ? "sheet" : "dialog" }, inner);
      const ours = !box.isConnected;
      if (ours) document.body.append(box);
      box.addEventListener("click", (event) => {
        if (event.target === box || event.target.closest("[data-close]")) box.close(event.target.closest("[data-close]")?.value || "");
      });
      box.addEventListener("close", () => {
        if (ours) box.remove();
        if (before instanceof HTMLElement && before.isConnected) before.focus();
        done(box.returnValue);
      }, { once: true });
      box.showModal();
    });

  /* One line for screen readers, not more often than every 15 seconds; the newest wins. */
  let spoken = 0;
  let waiting = null;
  const speaker = () => {
    let area = document.getElementById("hub-announcer");
    if (!area) {
      area = make("div", { id: "hub-announcer", class: "visually-hidden", role: "status", "aria-live": "polite" });
      document.body.append(area);
    }
    return area;
  };
  const announce = (words) => {
    clearTimeout(waiting);
    const say = () => { spoken = Date.now(); speaker().textContent = words; };
    const wait = spoken + 15000 - Date.now();
    if (wait <= 0) say();
    else waiting = setTimeout(say, wait);
  };

  /* Toasts, and the one action that can be taken back. */
  let undoable = null;
  const toast = (words, { undo = null, kind = "ok" } = {}) => {
    let area = document.querySelector(".toasts");
    if (!area) {
      area = make("div", { class: "toasts", role: "status" });
      document.body.append(area);
    }
    const box = make("div", { class: `toast toast-${kind}` }, make("span", {}, words));
    const gone = () => { box.remove(); if (undoable === takeBack) undoable = null; };
    const takeBack = async () => {
      gone();
      if (typeof undo === "function") await undo();
      else { await post(undo, {}); location.reload(); }
    };
    if (undo) {
      const button = make("button", { type: "button", class: "btn" }, icon("undo"), text("undo"), make("kbd", { class: "kbd" }, "u"));
      button.addEventListener("click", takeBack);
      box.append(button);
      undoable = takeBack;
    }
    const close = make("button", { type: "button", class: "btn btn-quiet", "aria-label": text("close") }, icon("close"));
    close.addEventListener("click", gone);
    box.append(close);
    area.append(box);
    // Whoever is about to press the button must not lose it.
    let timer = setTimeout(gone, 10000);
    box.addEventListener("focusin", () => clearTimeout(timer));
    box.addEventListener("focusout", () => { timer = setTimeout(gone, 10000); });
    return box;
  };

  const cookie = (wanted) => document.cookie.split("; ").find((one) => one.startsWith(`${wanted}=`))?.split("=")[1] ?? "";
  const token = () => document.querySelector("[name=csrfmiddlewaretoken]")?.value || cookie("csrftoken");
  const body = (data) => {
    if (data instanceof FormData || data instanceof URLSearchParams) return data;
    const form = new URLSearchParams();
    for (const [key, value] of Object.entries(data || {})) for (const one of [value].flat()) form.append(key, one);
    return form;
  };
  /** Posts a form and gives the answer's JSON; a refusal rejects with .status and .answer. */
  const post = async (url, data) => {
    let response;
    try {
      response = await fetch(url, { method: "POST", body: body(data), headers: { Accept: "application/json", "X-CSRFToken": token() } });
    } catch {
      throw Object.assign(new Error(text("post_failed")), { status: 0, answer: {} });
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw Object.assign(new Error(answer.error || text("post_failed")), { status: response.status, answer });
    return answer;
  };

  /* Times count on by themselves. */
  const lasting = (ms) => {
    const minutes = Math.floor(Math.abs(ms) / 60000);
    if (minutes < 60) return text("n_min", { n: minutes });
    const rest = { days: Math.floor(minutes / 1440), minutes: String(minutes % 60).padStart(2, "0") };
    if (minutes < 1440) return text("h_min", { ...rest, hours: Math.floor(minutes / 60) });
    return text("d_h", { ...rest, hours: Math.floor((minutes % 1440) / 60) });
  };
  const tick = () => {
    for (const one of document.querySelectorAll("time.countdown[data-at]")) {
      const left = Date.parse(one.dataset.at) - now();
      const words = text(left < 0 ? "over" : "left", { lasting: lasting(left) });
      if (one.textContent !== words) one.textContent = words;
      one.classList.toggle("over", left < 0);
    }
  };

  const onready = (fn) => (document.readyState === "complete" ? fn() : ready.push(fn));
  window.hub = { config, text, keys, post, toast, announce, dialog, now, onready, lasting, make, icon, tick };

  const showKeys = () => {
    const rows = keys.list().map(({ key, help }) =>
      make("tr", {}, make("th", { scope: "row" }, ...key.split(" ").flatMap((one) => [make("kbd", { class: "kbd" }, one), " "])), make("td", {}, help)));
    const box = make("div", {}, make("h2", { class: "dialog-title", id: "hub-keys-title" }, text("keys_title")),
      ...(config.shortcuts ? [] : [make("p", { class: "banner" }, text("keys_off"))]),
      make("table", { class: "table" }, make("tbody", {}, ...rows)),
      make("div", { class: "dialog-actions" }, make("button", { type: "button", class: "btn", "data-close": true }, text("close"))));
    dialog(box);
  };
  keys.on("?", showKeys, { help: text("key_help") });
  keys.on("/", () => document.querySelector("[data-search]")?.focus(), { help: text("key_search"), when: () => document.querySelector("[data-search]") });
  for (const [key, place] of [["g h", "home"], ["g b", "board"], ["g e", "exceptions"], ["g r", "gates"], ["g u", "rules"]]) {
    if (config.urls[place]) keys.on(key, () => location.assign(config.urls[place]), { help: text(`go_${place}`) });
  }
  keys.on("u", () => undoable?.(), { help: text("key_undo"), when: () => undoable !== null });
  document.addEventListener("keydown", pressed);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-show-keys]")) { event.preventDefault(); showKeys(); }
  });
  window.addEventListener("load", () => {
    tick();
    setInterval(tick, 60000);
    ready.splice(0).forEach((fn) => fn());
  });
})();
