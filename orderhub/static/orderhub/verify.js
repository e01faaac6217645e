// Checks in this browser what the page says: the PDF against its log entry, the entry against the signed head of the log,
// the code against the seller's key. The file stays here: it is read, hashed and forgotten. What could not be checked is
// never shown as good.
(function () {
  "use strict";
  const place = document.getElementById("file");
  const field = document.getElementById("pdf");
  const verdict = document.getElementById("file-verdict");
  if (!place || !field || !verdict) return;
  const data = place.dataset;

  class Broken extends Error {}

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

  // Whether what was signed and logged is this file. Throws Broken if not.
  async function checkProof(digest) {
    const [text, list] = await Promise.all([get(data.proof), get(data.keys)]);
    const [proof, keys] = [readProof(text), await readKeys(list)];
    await checkHead(proof, keys);
    await checkPlace(proof.entry, proof.index, proof.size, proof.path, proof.root);
    const entry = JSON.parse(new TextDecoder().decode(proof.entry));
    need(entry.i === proof.index && entry.pdf === digest, "file");
    need(entry.ph === hex(await sha256(proof.payload)), "payload");
    await checkCode(data.token, keys, entry.ph);
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
      await checkProof(digest);
      answer("same", "ok");
    } catch (failed) {
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
