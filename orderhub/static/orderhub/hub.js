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

  /* Help: what is registered on this very page. */
  const showKeys = () => {
    if (document.getElementById("hub-keys")) return;
    const rows = keys.list().map(({ key, help }) =>
      make("tr", {}, make("th", { scope: "row" }, ...key.split(" ").flatMap((one) => [make("kbd", { class: "kbd" }, one), " "])), make("td", {}, help)));
    const off = config.shortcuts ? [] : [make("p", { class: "banner" }, text("keys_off"))];
    const more = config.urls.help ? [make("a", { class: "btn btn-quiet", href: config.urls.help }, text("all_help"))] : [];
    const box = make("dialog", { class: "dialog", id: "hub-keys", "aria-labelledby": "hub-keys-title" },
      make("h2", { class: "dialog-title", id: "hub-keys-title" }, text("keys_title")), ...off,
      make("table", { class: "table" }, make("tbody", {}, ...rows)),
      make("div", { class: "dialog-actions" }, ...more, make("button", { type: "button", class: "btn", "data-close": true, autofocus: true }, text("close"))));
    document.body.append(box);
    dialog(box).then(() => box.remove());
  };

  /* The palette: type, arrows, Enter. What it finds are links, so a middle click opens a tab. */
  const palette = (typed = "") => {
    if (!config.urls.palette || document.getElementById("hub-palette")) return;
    const input = make("input", {
      type: "text", id: "hub-palette-input", role: "combobox", "aria-expanded": "true", "aria-controls": "hub-palette-list",
      "aria-autocomplete": "list", "aria-label": text("palette_hint"), placeholder: text("palette_hint"), autocomplete: "off", spellcheck: "false",
    });
    const list = make("div", { id: "hub-palette-list", role: "listbox", "aria-label": text("key_palette") });
    const note = make("p", { class: "hub-palette-note muted", role: "status" });
    const box = make("dialog", { class: "dialog hub-palette", id: "hub-palette", "aria-label": text("key_palette") }, input, list, note);
    let at = 0;
    let asked = 0;
    const wanted = new URLSearchParams(location.search).get("_state");
    const forced = wanted ? `&_state=${encodeURIComponent(wanted)}` : "";
    const options = () => [...list.querySelectorAll("[role=option]")];
    const mark = (next) => {
      const all = options();
      at = all.length ? (next + all.length) % all.length : 0;
      all.forEach((one, i) => one.setAttribute("aria-selected", String(i === at)));
      all[at]?.scrollIntoView({ block: "nearest" });
      if (all.length) input.setAttribute("aria-activedescendant", all[at].id);
      else input.removeAttribute("aria-activedescendant");
    };
    const draw = (groups, term, said) => {
      let n = 0;
      list.replaceChildren(...groups.map((group, g) => make("div", { role: "group", "aria-labelledby": `hub-palette-group-${g}` },
        make("h3", { id: `hub-palette-group-${g}` }, group.title),
        ...group.items.map((item) => make("a", { role: "option", id: `hub-palette-${n++}`, href: item.url, tabindex: "-1" }, icon(item.icon), make("span", item.is_data ? { translate: "no" } : {}, item.title), make("small", item.is_data ? { class: "muted", translate: "no" } : { class: "muted" }, item.hint))))));
      note.textContent = said || (n ? "" : text("palette_none", { q: term }));
      mark(0);
    };
    const ask = async () => {
      const mine = ++asked;
      const term = input.value.trim();
      try {
        const response = await fetch(`${config.urls.palette}?q=${encodeURIComponent(term)}${forced}`, { headers: { Accept: "application/json" } });
        if (!response.ok) throw new Error(String(response.status));
        const answer = await response.json();
        if (mine === asked) draw(answer.groups, term, answer.note);
      } catch {
        if (mine === asked) { list.replaceChildren(); note.textContent = text("palette_failed"); }
      }
    };
    let pause = null;
    input.addEventListener("input", (event) => {
      if (event.isComposing) return;
      clearTimeout(pause);
      pause = setTimeout(ask, 120);
    });
    input.addEventListener("compositionend", ask);
    input.addEventListener("keydown", async (event) => {
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); mark(at + (event.key === "ArrowDown" ? 1 : -1)); }
      if (event.key === "Enter") {
        event.preventDefault();
        // Whoever types and presses Enter at once means what was typed, not what was found before.
        clearTimeout(pause);
        await ask();
        const chosen = options()[at];
        if (chosen && (event.ctrlKey || event.metaKey)) window.open(chosen.href, "_blank", "noopener");
        else chosen?.click();
      }
    });
    document.body.append(box);
    input.value = typed;
    dialog(box).then(() => box.remove());
    input.focus();
    ask();
  };

  keys.on("?", showKeys, { help: text("key_help") });
  const searchBox = () => [...document.querySelectorAll("#content [data-search], [data-search]")].find((one) => one.checkVisibility());
  keys.on("/", () => { const found = searchBox(); if (found) { found.focus(); found.select(); } else palette(); }, { help: text("key_search") });
  keys.on("Ctrl+k", () => palette(), { help: text("key_palette") });
  for (const [key, place] of [["g h", "home"], ["g b", "board"], ["g e", "exceptions"], ["g r", "gates"], ["g u", "rules"]]) {
    if (config.urls[place]) keys.on(key, () => location.assign(config.urls[place]), { help: text(`go_${place}`) });
  }
  keys.on("u", () => undoable?.(), { help: text("key_undo"), when: () => undoable !== null });
  // Out of a field and back to where one came from: what Esc means outside of dialogs.
  let cameFrom = null;
  document.addEventListener("focusin", (event) => { if (event.target.matches?.("[data-search]")) cameFrom = event.relatedTarget || cameFrom; });
  keys.on("Escape", () => { const from = cameFrom; document.activeElement.blur(); if (from?.isConnected) from.focus(); },
    { help: text("key_close"), when: () => document.activeElement?.matches("[data-search]") });
  document.addEventListener("keydown", pressed);

  /* The first row, past everything that repeats on every page. */
  const skip = () => {
    const content = document.getElementById("content");
    const lists = "[data-list], [role=grid], #result_list tbody, .table tbody";
    const list = content?.querySelector(lists);
    const first = list?.querySelector('[tabindex="0"], th a[href], td a[href], a[href], button');
    (first || content)?.focus();
    (first || content)?.scrollIntoView({ block: "nearest" });
  };
  const wide = matchMedia("(min-width: 64rem)");
  const paintTheme = () => {
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.setAttribute("aria-label", button.dataset[hubTheme.chosen]);
      button.title = button.dataset[hubTheme.chosen];
    }
    for (const pill of document.querySelectorAll("button[data-theme]")) pill.setAttribute("aria-pressed", String(pill.dataset.theme === hubTheme.chosen));
  };
  const chooseTheme = (theme) => { hubTheme.set(theme); paintTheme(); };
  const next = { auto: "light", light: "dark", dark: "auto" };
  const clicks = {
    "[data-show-keys]": showKeys,
    "[data-palette]": () => palette(),
    "[data-skip]": skip,
    "[data-theme-switch]": () => chooseTheme(next[hubTheme.chosen]),
    "button[data-theme]": (found) => chooseTheme(found.dataset.theme),
  };
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    for (const [wanted, act] of Object.entries(clicks)) {
      const found = event.target.closest(wanted);
      if (found) { event.preventDefault(); act(found); return; }
    }
    const side = event.target.closest("[data-side]");
    if (side && wide.matches) {
      event.preventDefault();
      const folded = !document.documentElement.classList.contains("side-folded");
      hubTheme.fold(folded);
      side.setAttribute("aria-expanded", String(!folded));
    }
  });

  /* Where a number came from: on hover, focus and tap. */
  let tip = null;
  const hideTip = () => { tip?.remove(); tip = null; };
  const showTip = (event) => {
    const source = event.target.closest?.("[data-tip]");
    if (!source) return;
    hideTip();
    tip = make("div", { class: "tip", "aria-hidden": "true" }, source.dataset.tip);
    document.body.append(tip);
    const from = source.getBoundingClientRect();
    const size = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(from.left, innerWidth - size.width - 8))}px`;
    tip.style.top = `${from.top > size.height + 12 ? from.top - size.height - 6 : from.bottom + 6}px`;
  };
  for (const name of ["mouseover", "focusin", "click"]) document.addEventListener(name, showTip);
  for (const name of ["mouseout", "focusout", "scroll"]) document.addEventListener(name, hideTip, { passive: true, capture: name === "scroll" });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

  window.addEventListener("load", () => {
    tick();
    paintTheme();
    setInterval(tick, 60000);
    ready.splice(0).forEach((fn) => fn());
  });
})();
