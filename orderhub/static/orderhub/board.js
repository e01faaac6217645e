"use strict";
/* The order board by keys and live: rows are patched where they are, and nothing moves until somebody asks for it. */
hub.onready(() => {
  const board = document.getElementById("board-list");
  const text = hub.text;
  const runBox = document.querySelector("[data-run]");
  if (runBox) follow(runBox);
  if (!board) return;

  // On a phone the tabs are wider than the screen: the view one is in should be among those one sees.
  const tab = document.querySelector(".board-tabs [aria-current]");
  if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 16;

  const bulk = document.getElementById("bulk");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const rows = () => [...board.querySelectorAll("[data-id]")];
  const rowOf = (id) => document.getElementById(`o-${id}`);
  const boxOf = (row) => row?.querySelector("input[name=ids]");
  const linkOf = (row) => row?.querySelector("a[href]");
  document.documentElement.classList.add("scripted");

  /* One Tab stop for the whole list; the row that has it is the current one. */
  let current = null;
  const makeCurrent = (row, focus = true) => {
    if (!row) return;
    if (current) current.tabIndex = -1;
    current = row;
    row.tabIndex = 0;
    if (focus) row.focus();
  };
  const step = (by) => {
    const all = rows();
    if (!all.length) return;
    const at = Math.max(0, all.indexOf(current));
    // The first key only enters the list, wherever the focus was before.
    const isIn = current?.contains(document.activeElement);
    makeCurrent(all[isIn ? Math.min(all.length - 1, Math.max(0, at + by)) : at]);
  };
  makeCurrent(rows()[0], false);
  board.addEventListener("focusin", (event) => {
    const row = event.target.closest("[data-id]");
    if (row && row !== current) makeCurrent(row, false);
  });

  /* Selecting. */
  const boxes = () => [...board.querySelectorAll("input[name=ids]")];
  const actions = bulk?.querySelector(".board-actions");
  const counted = bulk?.querySelector("[data-selected]");
  const everything = board.querySelector("[data-all]");
  let last = null;
  const shown = () => {
    const n = boxes().filter((box) => box.checked).length;
    actions?.classList.toggle("is-open", n > 0 || Boolean(bulk.elements.all?.checked));
    if (counted) counted.textContent = text("board_selected", { n });
    if (everything) {
      everything.checked = n > 0 && n === boxes().length;
      everything.indeterminate = n > 0 && n < boxes().length;
    }
  };
  const pick = (row, on = !boxOf(row)?.checked) => {
    const box = boxOf(row);
    if (box) box.checked = on;
    last = row;
    shown();
  };
  const pickTo = (row) => {
    const all = rows();
    const ends = [all.indexOf(last ?? row), all.indexOf(row)].sort((a, b) => a - b);
    all.slice(ends[0], ends[1] + 1).forEach((one) => { if (boxOf(one)) boxOf(one).checked = true; });
    last = row;
    shown();
  };
  everything?.addEventListener("change", () => { boxes().forEach((box) => { box.checked = everything.checked; }); shown(); });
  board.addEventListener("click", (event) => {
    const box = event.target.closest("input[name=ids]");
    if (!box) return;
    const row = box.closest("[data-id]");
    if (event.shiftKey && last) pickTo(row);
    last = row;
    shown();
  });
  bulk?.addEventListener("change", shown);
  shown();

  /* Acting on what is selected, or else on the current row. */
  const act = (action) => {
    const button = actions?.querySelector(`button[value="${action}"]`);
    if (!button) return;
    if (!boxes().some((box) => box.checked) && !bulk.elements.all?.checked) pick(current, true);
    bulk.requestSubmit(button);
  };
  const openActions = () => {
    if (!boxes().some((box) => box.checked)) pick(current, true);
    actions?.querySelector("button")?.focus();
  };

  /* Fragments in dialogs; without a script the same addresses are pages. */
  const fetched = async (url) => {
    const response = await fetch(url, { headers: { "X-Fragment": "1" } });
    if (!response.ok) throw new Error(String(response.status));
    const box = document.createElement("div");
    box.innerHTML = await response.text();
    return box;
  };
  const showIn = async (url, after) => {
    try {
      const box = await fetched(url);
      const done = hub.dialog(box, { sheet: matchMedia("(max-width: 47.9rem)").matches });
      hub.tick();
      after?.(box);
      return done;
    } catch {
      return hub.toast(text("board_failed"), { kind: "danger" });
    }
  };
  // The list goes along, so that the order's page knows its neighbours.
  const [rowsPath, listed = ""] = board.dataset.rowsUrl.split("?");
  const peekUrl = (row) => `${rowsPath.replace(/rows\/$/, "")}peek/${row.dataset.id}/?list=${encodeURIComponent(listed)}`;
  const peek = () => current && showIn(peekUrl(current));
  document.addEventListener("click", (event) => {
    const filters = event.target.closest("[data-open-filters]");
    const move = event.target.closest("[data-move]");
    if ((!filters && !move) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const url = (filters || move).href;
    const group = filters && new URL(url).hash.slice(1);
    showIn(url, (box) => { if (group) box.querySelector(`[id="${group}"]`)?.focus(); });
  });

  /* Keys. */
  const onList = () => !runBox && rows().length > 0;
  const on = (key, fn, help) => hub.keys.on(key, fn, { help: help ? text(help) : "", when: onList });
  const inList = (key, fn) => hub.keys.on(key, fn, { when: () => onList() && board.contains(document.activeElement) });
  const onRow = () => onList() && document.activeElement === current;
  on("j", () => step(1), "key_next");
  on("k", () => step(-1), "key_before");
  inList("ArrowDown", () => step(1));
  inList("ArrowUp", () => step(-1));
  on("x", () => pick(current), "key_select");
  on("Shift+x", () => pickTo(current), "key_range");
  hub.keys.on("Enter", () => linkOf(current)?.click(), { help: text("key_open"), when: onRow });
  on("o", () => linkOf(current) && window.open(linkOf(current).href, "_blank", "noopener"), "key_new_tab");
  on("e", openActions, "key_act");
  on("a", () => act("assign"), "key_assign");
  on("s", () => act("hold"), "key_snooze");
  on("n", () => act("note"), "key_note");
  hub.keys.on("Space", peek, { help: text("key_peek"), when: onRow });
  on(".", () => {
    const menu = current?.querySelector(".card-menu");
    if (!menu) return openActions();
    menu.open = true;
    menu.querySelector("summary").focus();
    return null;
  }, "key_menu");
  hub.keys.on("Escape", () => {
    const menu = document.activeElement?.closest("details[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); return; }
    boxes().forEach((box) => { box.checked = false; });
    if (bulk?.elements.all) bulk.elements.all.checked = false;
    shown();
    current?.focus();
  }, { when: onList });
  const kept = JSON.parse(sessionStorage.getItem("board-undo") || "null");
  if (kept && Date.parse(kept.until) > hub.now()) {
    hub.keys.on("u", async () => {
      sessionStorage.removeItem("board-undo");
      try {
        await hub.post(kept.url, { do: "undo" });
        location.assign(kept.url);
      } catch (error) {
        hub.toast(error.message, { kind: "danger" });
      }
    }, { help: text("key_undo_bulk"), when: () => sessionStorage.getItem("board-undo") !== null });
  }

  /* Live: cells are patched in place. What would move, come or go is counted on the pill. */
  const pill = bulk?.querySelector("[data-refresh]");
  const moved = new Set();
  const refresh = () => {
    sessionStorage.setItem("board-place", JSON.stringify({
      url: location.href, row: current?.dataset.id, y: scrollY, picked: boxes().filter((box) => box.checked).map((box) => box.value),
    }));
    location.reload();
  };
  const restore = () => {
    const place = JSON.parse(sessionStorage.getItem("board-place") || "null");
    sessionStorage.removeItem("board-place");
    if (!place || place.url !== location.href) return;
    boxes().forEach((box) => { if (place.picked.includes(box.value)) box.checked = true; });
    makeCurrent(rowOf(place.row) ?? rows()[0]);
    scrollTo(0, place.y);
    shown();
  };
  restore();
  pill?.addEventListener("click", refresh);
  hub.keys.on("r", refresh, { help: text("key_refresh"), when: () => pill && !pill.hidden });
  const tell = () => {
    if (!pill || !moved.size) return;
    pill.querySelector("span").textContent = text("board_changed", { n: moved.size });
    pill.hidden = false;
  };

  /* At a desk columns keep their widths while cells change. Measured anew when the window or the letters change, or when
     a cell cannot hold what came. */
  const table = board.querySelector(".board-table");
  const desk = matchMedia("(min-width: 48rem)");
  const measure = () => {
    const heads = [...table.tHead.rows[0].cells];
    table.style.tableLayout = "";
    for (const head of heads) head.style.width = "";
    if (!desk.matches) return;
    const widths = heads.map((head) => head.getBoundingClientRect().width);
    heads.forEach((head, n) => { head.style.width = `${widths[n]}px`; });
    table.style.tableLayout = "fixed";
  };
  if (table) new ResizeObserver(measure).observe(table.tHead);

  const flashing = new WeakMap();
  const flash = (cell) => {
    if (still) return;
    clearTimeout(flashing.get(cell));
    cell.classList.add("flash");
    flashing.set(cell, setTimeout(() => cell.classList.remove("flash"), 1200));
  };
  const meaning = (cell) => {
    const copy = cell.cloneNode(true);
    // A countdown and an age go on by themselves: only their moment counts as a change.
    for (const time of copy.querySelectorAll("time")) time.replaceWith(time.getAttribute("datetime") ?? "");
    return copy.innerHTML.trim();
  };
  const patch = (row, html) => {
    const holder = document.createElement("tbody");
    holder.innerHTML = html;
    const fresh = holder.querySelector("tr");
    if (!fresh) return;
    for (const cell of fresh.querySelectorAll("[data-col]")) {
      const mine = row.querySelector(`[data-col="${cell.dataset.col}"]`);
      if (!mine) continue;
      mine.dataset.tip = cell.dataset.tip ?? "";
      if (meaning(mine) === meaning(cell) || mine.contains(document.activeElement)) continue;
      mine.replaceChildren(...cell.childNodes);
      if (mine.scrollWidth > mine.clientWidth) measure();
      flash(mine);
    }
    row.classList.remove("is-gone");
    if (fresh.dataset.mark !== row.dataset.mark) moved.add(row.dataset.id);
    row.dataset.mark = fresh.dataset.mark;
  };
  const gone = (row) => {
    row.classList.add("is-gone");
    row.title = text("board_gone");
    moved.add(row.dataset.id);
  };
  const isTable = () => Boolean(board.querySelector(".board-table"));
  const ask = async (ids) => {
    const response = await fetch(`${board.dataset.rowsUrl}&ids=${ids.join(",")}`, { headers: { Accept: "application/json" } });
    if (!response.ok) return;
    const answer = await response.json();
    for (const [id, html] of Object.entries(answer.rows)) {
      const row = rowOf(id);
      if (!row) moved.add(id);
      else if (isTable()) patch(row, html);
      else moved.add(id);
    }
    for (const id of answer.gone) if (rowOf(id)) gone(rowOf(id));
    hub.tick();
    tell();
  };
  hub.live?.on(async (change) => {
    // First what is looked at; of the rest only whether the list would have it.
    const ids = [...change.orders].sort((a, b) => Boolean(rowOf(b)) - Boolean(rowOf(a))).slice(0, 100);
    try {
      if (ids.length) await ask(ids);
    } catch {
      // The freshness chip says how old the values are; they stay.
    }
  });

  /* Cards are dragged, or moved by their menu: both end at the same address. */
  let dragged = null;
  board.addEventListener("dragstart", (event) => { dragged = event.target.closest(".card"); });
  board.addEventListener("dragend", () => { dragged = null; });
  for (const lane of board.querySelectorAll(".lane")) {
    lane.addEventListener("dragover", (event) => { if (dragged) { event.preventDefault(); lane.classList.add("is-target"); } });
    lane.addEventListener("dragleave", () => lane.classList.remove("is-target"));
    lane.addEventListener("drop", (event) => {
      event.preventDefault();
      lane.classList.remove("is-target");
      const link = dragged && [...dragged.querySelectorAll("[data-move]")].find((one) => one.href.includes(`/${lane.dataset.step}/`));
      link?.click();
    });
  }

  /* A run in the background: how far it is, without asking more often than anybody looks. */
  function follow(box) {
    if (box.dataset.undoUntil) {
      sessionStorage.setItem("board-undo", JSON.stringify({ url: location.pathname, until: box.dataset.undoUntil }));
      hub.keys.on("u", () => box.querySelector("form[data-undo] button")?.click(), { help: text("key_undo_bulk") });
    }
    if (box.dataset.working !== "1") return;
    const bar = box.querySelector("progress");
    const poll = async () => {
      try {
        const response = await fetch(location.pathname, { headers: { Accept: "application/json" } });
        const answer = await response.json();
        bar.value = answer.n;
        bar.nextSibling.textContent = ` ${answer.n} / ${answer.total}`;
        if (!["waiting", "running"].includes(answer.state)) { location.reload(); return; }
      } catch {
        // The next look may succeed.
      }
      setTimeout(poll, document.hidden ? 10000 : 700);
    };
    setTimeout(poll, 700);
  }
});
