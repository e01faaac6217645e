// Checks in this browser what the page says: the PDF against its log entry, the entry against the signed head of the log,
// the code against the seller's key. The file stays here: it is read, hashed and forgotten. What could not be checked is
// never shown as good. It remembers the newest head of each log that it has seen, and says when one does not continue it.
(function () {
  "use strict";
  const place = document.getElementById("file");
  const field = document.getElementById("pdf");
  const verdict = document.getElementById("file-verdict");
  if (!place || !field || !verdict) return;
  const data = place.dataset;

  class Broken extends Error {}
  class Split extends Broken {}

  function need(holds, what) {
    if (!holds) throw new Broken(what);
  }

  function say(name, meaning) {
    verdict.textContent = data[name];
    verdict.className = meaning ? `verdict-${meaning}` : "";
    verdict.hidden = false;
  }

  // Bytes.

  const bytes = (text) => new TextEncoder().encode(text);
  const hex = (found) => Array.from(found, (one) => one.toString(16).padStart(2, "0")).join("");
  const join = (...parts) => new Uint8Array(parts.flatMap((one) => [...one]));
  const isSame = (one, other) => hex(one) === hex(other);

  // In one way only: bits that say nothing must not be set, or the same thing could be written twice.
  function base64(text) {
    const found = atob(text);
    need(btoa(found) === text, "base 64");
    return Uint8Array.from(found, (one) => one.charCodeAt(0));
  }

  function base32(text) {
    let bits = 0;
    let held = 0;
    const found = [];
    for (const sign of text.toUpperCase()) {
      const value = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(sign);
      need(value >= 0, "code");
      held = (held << 5) | value;
      bits += 5;
      if (bits >= 8) {
        bits -= 8;
        found.push((held >> bits) & 255);
        held &= (1 << bits) - 1;
      }
    }
    need(held === 0, "code");
    return new Uint8Array(found);
  }

  async function sha256(content) {
    return new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  }

  // Signatures (c2sp.org/signed-note).

  async function isSigned(key, signature, message) {
    const imported = await crypto.subtle.importKey("raw", key.public, { name: "Ed25519" }, false, ["verify"]);
    return crypto.subtle.verify("Ed25519", imported, signature, message);
  }

  async function readKey(vkey) {
    const [, name, id, text] = vkey.match(/^([^+]+)\+([0-9a-f]{8})\+(.+)$/) || [];
    need(name, "key");
    const found = base64(text);
    const kind = found[0];
    const middle = kind === 255 ? bytes("orderhub-token-v1") : new Uint8Array();
    const publicKey = found.slice(1 + middle.length);
    const stated = hex((await sha256(join(bytes(name), [10, kind], middle, publicKey))).slice(0, 4));
    need(publicKey.length === 32 && stated === id, "key");
    return { name, id, kind, public: publicKey };
  }

  async function readKeys(text) {
    const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
    const vkeys = lines.map((line) => line.split(" ").find((word) => /^[^\s+]+\+[0-9a-f]{8}\+/.test(word)));
    return Promise.all(vkeys.filter(Boolean).map(readKey));
  }

  // The tree (RFC 6962; checked as in RFC 9162, 2.1.3.2).

  async function checkPlace(entry, index, size, path, root) {
    need(index < size, "place");
    const node = (left, right) => sha256(join([1], left, right));
    let found = await sha256(join([0], entry));
    let fn = index;
    let sn = size - 1;
    const half = () => {
      fn = Math.floor(fn / 2);
      sn = Math.floor(sn / 2);
    };
    for (const step of path) {
      need(sn > 0 && step.length === 32, "path");
      if (fn % 2 || fn === sn) {
        found = await node(step, found);
        while (fn && fn % 2 === 0) half();
      } else {
        found = await node(found, step);
      }
      half();
    }
    need(sn === 0 && isSame(found, root), "root");
  }

  // That the larger tree begins with the smaller one (RFC 9162, 2.1.4.2).
  async function isContinued(old, size, oldRoot, root, path) {
    const steps = [...path];
    let fn = old - 1;
    let sn = size - 1;
    const half = () => {
      fn = Math.floor(fn / 2);
      sn = Math.floor(sn / 2);
    };
    while (fn % 2) half();
    // A smaller tree that is whole has its root for the first step.
    if (fn === 0) steps.unshift(oldRoot);
    if (!steps.length || steps.some((step) => step.length !== 32)) return false;
    const node = (left, right) => sha256(join([1], left, right));
    let first = steps[0];
    let second = steps[0];
    for (const step of steps.slice(1)) {
      if (sn === 0) return false;
      if (fn % 2 || fn === sn) {
        [first, second] = [await node(step, first), await node(step, second)];
        while (fn && fn % 2 === 0) half();
      } else {
        second = await node(second, step);
      }
      half();
    }
    return sn === 0 && isSame(first, oldRoot) && isSame(second, root);
  }

  function readProof(text) {
    const at = text.indexOf("\n\n");
    const lines = text.slice(0, at).split("\n");
    const note = text.slice(at + 2);
    const end = note.lastIndexOf("\n\n");
    need(at > 0 && end > 0 && lines[0] === "c2sp.org/tlog-proof@v1" && lines[1].startsWith("extra "), "proof");
    const body = note.slice(0, end + 1);
    const [origin, size, root] = body.split("\n");
    const whole = /^(?:0|[1-9]\d{0,15})$/;
    need(lines[2].startsWith("index ") && whole.test(lines[2].slice(6)) && whole.test(size), "proof");
    const said = JSON.parse(new TextDecoder().decode(base64(lines[1].slice(6))));
    return {
      entry: bytes(said.entry),
      payload: bytes(said.payload),
      token: said.token,
      continued: said.continued || [],
      index: Number(lines[2].slice(6)),
      path: lines.slice(3).map(base64),
      signatures: note.slice(end + 2).trimEnd().split("\n").map((line) => line.split(" ")),
      body, origin, size: Number(size), root: base64(root),
    };
  }

  async function checkHead(proof, keys) {
    for (const key of keys.filter((one) => one.kind === 1 && one.name === proof.origin)) {
      for (const [, name, text] of proof.signatures) {
        const signature = base64(text);
        if (name !== key.name || hex(signature.slice(0, 4)) !== key.id) continue;
        need(await isSigned(key, signature.slice(4), bytes(proof.body)), "head");
        return;
      }
    }
    need(false, "head");
  }

  async function checkCode(code, keys, ph) {
    const token = base32(code);
    const key = keys.find((one) => one.kind === 255 && one.id === hex(token.slice(1, 5)));
    need(token.length === 119 && token[0] === 1 && key, "code");
    const message = join(bytes("orderhub/promise-token/v1\n"), token.slice(0, 55));
    need(await isSigned(key, token.slice(55), message), "code");
    need(hex(token.slice(23, 55)) === ph, "code");
  }

  async function get(address) {
    const answer = await fetch(address, { credentials: "omit" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.text();
  }

  // What this browser has seen of a log. A demo is made anew under the same name, and nothing is lost with it.

  const nameOf = (origin) => `orderhub-head:${origin}`;

  function seen(origin) {
    try {
      return origin.endsWith("/demo") ? null : JSON.parse(localStorage.getItem(nameOf(origin)));
    } catch {
      return null;
    }
  }

  function keep(proof) {
    const known = seen(proof.origin);
    if (known && known.size >= proof.size) return;
    try {
      localStorage.setItem(nameOf(proof.origin), JSON.stringify({ size: proof.size, root: hex(proof.root) }));
    } catch {
      // A browser that keeps nothing compares nothing.
    }
  }

  async function checkMemory(proof, known) {
    if (known) {
      const step = proof.continued.find((one) => one.old === known.size);
      const root = Uint8Array.from(known.root.match(/../g), (pair) => parseInt(pair, 16));
      const isOne =
        known.size === proof.size
          ? isSame(root, proof.root)
          : step && (await isContinued(known.size, proof.size, root, proof.root, step.path.map(base64)));
      if (!isOne) throw new Split("head");
    }
    keep(proof);
  }

  async function readLogged(keys, since) {
    const proof = readProof(await get(since ? `${data.proof}?since=${since}` : data.proof));
    await checkHead(proof, keys);
    return proof;
  }

  // What the seller has signed and logged under the code of this page. Throws Broken where something does not hold.
  async function checkLogged() {
    const keys = await readKeys(await get(data.keys));
    let proof = await readLogged(keys);
    const known = seen(proof.origin);
    // Asked for after it was read what is remembered: another page of this browser may have seen a newer head meanwhile.
    if (known && known.size !== proof.size) proof = await readLogged(keys, known.size);
    await checkPlace(proof.entry, proof.index, proof.size, proof.path, proof.root);
    const entry = JSON.parse(new TextDecoder().decode(proof.entry));
    need(entry.i === proof.index, "place");
    need(entry.ph === hex(await sha256(proof.payload)), "payload");
    await checkCode(data.token, keys, entry.ph);
    await checkMemory(proof, known);
    return entry;
  }

  // As soon as the page is there, whoever has no file sees what this browser found.
  async function checkPage() {
    const own = document.getElementById("own-verdict");
    if (!own) return;
    const answer = (name, meaning) => {
      own.textContent = data[name];
      own.className = `verdict-${meaning}`;
      own.hidden = false;
    };
    try {
      const entry = await checkLogged();
      need(entry.pdf === data.sha256, "file");
      answer("own", "ok");
    } catch (failed) {
      // Where nothing could be computed or fetched, nothing is said: the rows below are the server's word, as they say.
      if (failed instanceof Broken) answer(failed instanceof Split ? "split" : "broken", "danger");
    }
  }

  let asked = 0;

  async function check(file) {
    if (!file) return;
    const mine = ++asked;
    const answer = (...words) => mine === asked && say(...words);
    answer("working", "");
    let digest;
    try {
      digest = hex(await sha256(await file.arrayBuffer()));
    } catch {
      answer("unable", "stale");
      return;
    }
    if (digest !== data.sha256) {
      answer("other", "danger");
      return;
    }
    try {
      need((await checkLogged()).pdf === digest, "file");
      answer("same", "ok");
    } catch (failed) {
      if (failed instanceof Split) {
        answer("split", "danger");
        return;
      }
      // An old browser knows no Ed25519, or the log has not the entry yet: the bytes are right, the rest is the server's word.
      answer(failed instanceof Broken ? "broken" : "bytes", failed instanceof Broken ? "danger" : "stale");
    }
  }

  // Absent on plain http: nothing can be computed there, and that is said.
  if (!window.crypto || !crypto.subtle) {
    say("unable", "stale");
    return;
  }
  field.closest("p").hidden = false;
  // What can be checked here need not be sent.
  const sending = document.getElementById("send-file");
  if (sending) sending.hidden = true;
  checkPage();
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
