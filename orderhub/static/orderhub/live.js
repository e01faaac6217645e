"use strict";
/* Asks about once a second which orders changed, tells the page's scripts, and says how fresh the page is. */
(() => {
  const given = JSON.parse(document.getElementById("hub-live")?.textContent || "null");
  if (!given || !window.hub) return;

  const VISIBLE = 900;
  const HIDDEN = 60000;
  const AT_ONCE = 50;
  // Something is committed that cannot be told yet: nearly always that takes a moment; if it does not, hurrying is no use.
  const SOON = 150;
  const SOONS = 3;
  const PATIENCE = 10000;
  const LONGEST = 60000;
  const LATE = 30000;
  const CUT = 120000;
  const SPOKEN_EVERY = 15000;

  const listeners = [];
  let cursor = given.cursor;
  let heard = Date.now();
  let heardAt = hub.now();
  let failures = 0;
  let hurried = 0;
  let timer = null;
  let asking = false;
  // Why it ended for good: logged out, or a permission taken away.
  let refusal = null;
  let state = "live";

  const wait = () => {
    if (failures) return Math.min(LONGEST, VISIBLE * 2 ** failures) * (0.5 + Math.random() / 2);
    // Many boards opened at one moment must not ask at one moment for ever.
    return (document.hidden ? HIDDEN : VISIBLE) * (0.9 + Math.random() / 5);
  };
  const plan = (pause = wait()) => {
    clearTimeout(timer);
    if (!refusal) timer = setTimeout(ask, pause);
  };

  async function ask() {
    clearTimeout(timer);
    if (asking || refusal) return;
    asking = true;
    const patience = new AbortController();
    const limit = setTimeout(() => patience.abort(), PATIENCE);
    let pause;
    try {
      pause = await listen(patience.signal);
      failures = 0;
    } catch {
      failures += 1;
    } finally {
      clearTimeout(limit);
      asking = false;
    }
    show();
    plan(pause);
  }

  /* Gives the pause before the next question, undefined for the usual one. */
  async function listen(signal) {
    const response = await fetch(`${given.url}?since=${encodeURIComponent(cursor)}`, {
      cache: "no-store",
      signal,
      headers: { Accept: "application/json", "If-None-Match": `"${cursor}"` },
    });
    if (response.status === 401 || response.status === 403) {
      refusal = { status: response.status, ...(await response.json().catch(() => ({}))) };
      return undefined;
    }
    if (response.status !== 304 && !response.ok) throw new Error(String(response.status));
    const change = response.status === 304 ? null : await response.json();
    heard = Date.now();
    heardAt = hub.now();
    if (change) {
      cursor = change.cursor;
      if (change.orders.length) tell(change);
      if (change.more) return AT_ONCE;
    }
    hurried = response.headers.has("Hub-Held") ? hurried + 1 : 0;
    return hurried && hurried <= SOONS ? SOON : undefined;
  }

  function tell(change) {
    for (const fn of listeners) {
      // One page part that fails must not keep the news from the others.
      try {
        fn(change);
      } catch (error) {
        console.error(error);
      }
    }
    change.orders.forEach((id) => unspoken.add(id));
    speak();
  }

  /* One sentence for screen readers, with everything since the last one. */
  const unspoken = new Set();
  let spoken = -Infinity;
  let speaking = null;
  function speak() {
    if (speaking || !unspoken.size) return;
    speaking = setTimeout(() => {
      speaking = null;
      spoken = Date.now();
      hub.announce(hub.text(unspoken.size === 1 ? "live_changed_one" : "live_changed_more", { n: unspoken.size }));
      unspoken.clear();
    }, Math.max(0, spoken + SPOKEN_EVERY - Date.now()));
  }

  /* The chip and the banner. */
  const LOOKS = { live: ["ok", "live"], late: ["warn", "clock"], cut: ["stale", "cut"] };
  const clock = () =>
    new Intl.DateTimeFormat(hub.config.language, {
      hour: "2-digit", minute: "2-digit", hour12: false, ...(hub.config.zone ? { timeZone: hub.config.zone } : {}),
    }).format(heardAt);
  const judged = () => {
    const age = Date.now() - heard;
    if (refusal || age > CUT) return "cut";
    return age > LATE ? "late" : "live";
  };

  function show() {
    const before = state;
    state = judged();
    // A page that was just asked is a second old at best.
    const seconds = Math.max(1, Math.floor((Date.now() - heard) / 1000));
    const words = hub.text(`live_${state}`, { seconds, at: clock() });
    for (const chip of document.querySelectorAll("[data-freshness]")) paint(chip, words);
    document.documentElement.dataset.live = state;
    if (before !== state || refusal) banner();
    if (before === "cut" && state === "live") hub.announce(hub.text("live_back"));
  }

  function paint(chip, words) {
    if (chip.dataset.freshness !== state) {
      const [meaning, shape] = LOOKS[state];
      chip.dataset.freshness = state;
      chip.className = `chip chip-${meaning} num`;
      chip.replaceChildren(hub.icon(shape), hub.make("span"));
    }
    const place = chip.lastElementChild;
    if (place.textContent !== words) place.textContent = words;
  }

  function banner() {
    const known = document.querySelector(".live-banner");
    if (state !== "cut") {
      known?.remove();
      return;
    }
    if (known?.dataset.status === String(refusal?.status ?? 0)) return;
    known?.remove();
    const words = refusal?.text || hub.text("live_banner", { at: clock() });
    const place = hub.make("div", { class: "live-banner", role: "status", "data-status": refusal?.status ?? 0 }, hub.make("span", {}, words));
    if (refusal?.status === 401) {
      const here = encodeURIComponent(location.pathname + location.search);
      place.append(hub.make("a", { href: `${given.login}?next=${here}` }, hub.text("live_login")));
    } else if (refusal) {
      place.append(hub.make("a", { href: location.href }, hub.text("live_reload")));
    }
    document.body.append(place);
  }

  hub.live = {
    /** on(fn): fn({cursor, now, orders: [ids], kinds: {kind: [ids]}, more}) after each change. */
    on(fn) { listeners.push(fn); },
    /** Ask now instead of waiting: after an action of one's own. */
    ask,
    get state() { return state; },
    get heardAt() { return heardAt; },
  };

  document.addEventListener("visibilitychange", () => (document.hidden ? plan() : ask()));
  window.addEventListener("focus", ask);
  window.addEventListener("online", ask);
  window.addEventListener("pageshow", (event) => { if (event.persisted) ask(); });
  setInterval(show, 1000);
  // Parts of the page that are still to come may listen too.
  hub.onready(() => { show(); ask(); });
})();
