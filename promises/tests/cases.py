"""Genuine and mutated commitments by the hundred, for those who must agree on them. Seeded: the same number, the same case."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from promises import canonical, notes, proofs
from promises.tests.smalllog import BEGIN, DAY, Promised, SmallLog, number, pdf

File = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """What is handed in: texts of codes, and files by name. exit: what everybody must answer."""

    name: str
    exit: int
    texts: tuple[str, ...] = ()
    files: tuple[File, ...] = ()


@dataclass
class World:
    """One log with some promises in it, and a second one that wants to pass for it."""

    seed: int = 1
    size: int = 40
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.log = SmallLog()
        self.promises = [self._made(n) for n in range(self.size)]
        self.places = [self.log.issue(one) for one in self.promises]

    def _made(self, n: int) -> Promised:
        at = BEGIN + 60 * n
        seen = {"size": len(self.log.entries), "root": self.log.root().hex()} if n % 5 == 0 else None
        more = {"seen": seen} if seen else {}
        return Promised(
            self.log, has_link=n % 3 == 0, no=number(n), issued_at=at, due=at + DAY * (1 + n % 9), **more
        )

    @cached_property
    def stranger(self) -> SmallLog:
        """The same entries, signed by keys of somebody else."""
        found = SmallLog(log_seed=21, token_seed=22)
        for one in self.promises:
            found.issue(one)
        return found

    def pick(self) -> tuple[int, Promised]:
        n = self.chance.randrange(self.size)
        return self.places[n], self.promises[n]

    def proof(self, place: int, promise: Promised, **more: object) -> str:
        extra = {"payload": promise.data.decode(), "token": promise.text}
        return self.log.proof(place, **extra, **more)


def files(*, paper: bytes | None = None, proof: str | None = None) -> tuple[File, ...]:
    found = []
    if paper is not None:
        found.append(("paper.pdf", paper))
    if proof is not None:
        found.append(("paper.tlog-proof", proof.encode("utf-8", "surrogateescape")))
    return tuple(found)


# Genuine.


def _paper_and_proof(world: World) -> Case:
    place, promise = world.pick()
    return Case("paper and proof", 0, files=files(paper=promise.pdf, proof=world.proof(place, promise)))


def _proof_alone(world: World) -> Case:
    place, promise = world.pick()
    return Case("proof alone", 0, files=files(proof=world.proof(place, promise)))


def _code_and_bare_proof(world: World) -> Case:
    place, promise = world.pick()
    return Case("code and proof", 0, (promise.text.lower(),), files(proof=world.log.proof(place)))


def _all_of_it(world: World) -> Case:
    place, promise = world.pick()
    text = f"HTTPS://P.EXAMPLE.COM/V/{promise.text}/"
    return Case("all of it", 0, (text,), files(paper=promise.pdf, proof=world.proof(place, promise)))


def _with_history(world: World) -> Case:
    place, promise = world.pick()
    since = promise.said["seen"]["size"] or None
    proof = world.proof(place, promise, since=since, is_witnessed=True)
    return Case("with its history", 0, files=files(paper=promise.pdf, proof=proof))


GOOD: Sequence[Callable[[World], Case]] = [
    _paper_and_proof, _proof_alone, _code_and_bare_proof, _all_of_it, _with_history,
]  # fmt: skip


# Mutated.


def _bit(world: World, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[world.chance.randrange(len(data))] ^= 1 << world.chance.randrange(8)
    return bytes(changed)


def _byte_of_paper(world: World) -> Case:
    place, promise = world.pick()
    paper = _bit(world, promise.pdf)
    return Case("a bit of the paper", 1, files=files(paper=paper, proof=world.proof(place, promise)))


def _longer_paper(world: World) -> Case:
    place, promise = world.pick()
    return Case("a longer paper", 1, files=files(paper=promise.pdf + b"%", proof=world.proof(place, promise)))


def _shorter_paper(world: World) -> Case:
    place, promise = world.pick()
    cut = world.chance.randrange(9, len(promise.pdf))
    return Case("a shorter paper", 1, files=files(paper=promise.pdf[:cut], proof=world.proof(place, promise)))


def _another_date(world: World) -> Case:
    """Paper and attachment say another date, the code is the true one."""
    place, promise = world.pick()
    said = {name: value for name, value in promise.said.items() if name != "log"}
    forged = Promised(world.log, **{**said, "due": promise.said["due"] + DAY})
    return Case("another date", 1, (promise.text,), files(paper=forged.pdf, proof=world.log.proof(place)))


def _foreign_attachment(world: World) -> Case:
    """The file that was logged, and its attachment is not what was signed."""
    _place, promise = world.pick()
    data = canonical.encode({**promise.said, "due": promise.said["due"] + DAY})
    log = SmallLog()
    paper = pdf(data)
    index = log.issue(promise, pdf=hashlib.sha256(paper).hexdigest())
    return Case("a foreign attachment", 1, files=files(paper=paper, proof=log.proof(index)))


def _character_of_code(world: World) -> Case:
    place, promise = world.pick()
    at = world.chance.randrange(len(promise.text))
    sign = world.chance.choice([one for one in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" if one != promise.text[at]])
    text = promise.text[:at] + sign + promise.text[at + 1 :]
    return Case("a character of the code", 1, (text,), files(proof=world.log.proof(place)))


def _cut_code(world: World) -> Case:
    place, promise = world.pick()
    text = promise.text[: world.chance.randrange(20, 191)]
    return Case("a cut code", 1, (text,), files(proof=world.log.proof(place)))


def _forged_code(world: World) -> Case:
    place, promise = world.pick()
    token = promise.token[:55] + world.stranger.token_key.sign(
        b"orderhub/promise-token/v1\n" + promise.token[:55]
    )
    text = base64.b32encode(token).decode().rstrip("=")
    return Case("a forged code", 1, (text,), files(proof=world.log.proof(place)))


def _code_without_domain(world: World) -> Case:
    place, promise = world.pick()
    token = promise.token[:55] + world.log.token_key.sign(promise.token[:55])
    text = base64.b32encode(token).decode().rstrip("=")
    return Case("a code signed for something else", 1, (text,), files(proof=world.log.proof(place)))


def _another_entry(world: World) -> Case:
    place, promise = world.pick()
    other = next(one for one in world.places if one != place)
    return Case("the proof of another", 1, (promise.text,), files(proof=world.log.proof(other)))


def _parts(world: World) -> tuple[proofs.ProofFile, Promised]:
    place, promise = world.pick()
    return proofs.parse(world.proof(place, promise)), promise


def _step_of_path(world: World) -> Case:
    found, promise = _parts(world)
    steps = list(found.path)
    at = world.chance.randrange(len(steps))
    steps[at] = _bit(world, steps[at])
    proof = str(replace(found, path=tuple(steps)))
    return Case("a step of the path", 1, files=files(paper=promise.pdf, proof=proof))


def _path_of_another_length(world: World) -> Case:
    found, promise = _parts(world)
    path = found.path[:-1] if world.chance.random() < 0.5 else (*found.path, bytes(32))
    return Case(
        "a path of another length", 1, files=files(paper=promise.pdf, proof=str(replace(found, path=path)))
    )


def _another_place(world: World) -> Case:
    found, promise = _parts(world)
    proof = str(replace(found, index=found.index + 1))
    return Case("another place", 1, files=files(paper=promise.pdf, proof=proof))


def _extra(world: World, name: str, change: Callable[[str], str]) -> Case:
    found, promise = _parts(world)
    said = json.loads(found.extra)
    said[name] = change(said[name])
    extra = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    proof = str(replace(found, extra=extra))
    return Case(f"another {name}", 1, files=files(paper=promise.pdf, proof=proof))


def _entry(world: World) -> Case:
    def later(text: str) -> str:
        said = json.loads(text)
        return canonical.encode({**said, "due": said["due"] + DAY}).decode()

    return _extra(world, "entry", later)


def _payload(world: World) -> Case:
    return _extra(world, "payload", lambda text: text.replace('"qty":2', '"qty":3'))


def _head(world: World, change: Callable[[notes.Checkpoint], notes.Checkpoint]) -> Case:
    """The head says something else under the old signature."""
    found, promise = _parts(world)
    note = notes.parse(found.checkpoint)
    changed = str(notes.Note(str(change(notes.checkpoint(note.text))), note.signatures))
    return Case(
        "another head", 1, files=files(paper=promise.pdf, proof=str(replace(found, checkpoint=changed)))
    )


def _root(world: World) -> Case:
    return _head(world, lambda head: replace(head, root=_bit(world, head.root)))


def _size(world: World) -> Case:
    return _head(world, lambda head: replace(head, size=head.size + 1))


def _origin(world: World) -> Case:
    return _head(world, lambda head: replace(head, origin=head.origin + "2"))


def _signature(world: World) -> Case:
    found, promise = _parts(world)
    note = notes.parse(found.checkpoint)
    [one] = note.signatures
    changed = str(notes.Note(note.text, (replace(one, value=_bit(world, one.value)),)))
    proof = str(replace(found, checkpoint=changed))
    return Case("another signature", 1, files=files(paper=promise.pdf, proof=proof))


def _strangers_log(world: World) -> Case:
    place, promise = world.pick()
    return Case("a stranger's log", 1, files=files(paper=promise.pdf, proof=world.stranger.proof(place)))


def _other_text_of_base64(world: World) -> Case:
    """Bits that say nothing are set: the same bytes in another text."""
    place, promise = world.pick()
    lines = world.proof(place, promise).split("\n")
    at = next(n for n, line in enumerate(lines) if n >= 3 and line.endswith("="))
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = lines[at][-2]
    lines[at] = lines[at][:-2] + signs[signs.index(last) ^ 1] + "="
    return Case("another text of the same", 1, files=files(paper=promise.pdf, proof="\n".join(lines)))


def _no_salt(world: World) -> Case:
    """The seller himself has signed what the format forbids: anybody could guess it from its hash."""
    said = {name: value for name, value in world.promises[0].said.items() if name != "salt"}
    data = canonical.encode(said)
    log = SmallLog()
    paper = pdf(data)
    nh = hashlib.sha256(b"no\n" + said["no"].encode()).hexdigest()
    body = {"ph": canonical.digest(data), "pdf": hashlib.sha256(paper).hexdigest(), "due": said["due"]}
    index = log.add("issue", nh=nh, **body)
    return Case("no salt", 1, files=files(paper=paper, proof=log.proof(index, payload=data.decode())))


MUTATED: Sequence[Callable[[World], Case]] = [
    _byte_of_paper, _longer_paper, _shorter_paper, _another_date, _foreign_attachment, _character_of_code, _cut_code,
    _forged_code, _code_without_domain, _another_entry, _step_of_path, _path_of_another_length, _another_place, _entry,
    _payload, _root, _size, _origin, _signature, _strangers_log, _other_text_of_base64, _no_salt,
]  # fmt: skip


def cases(n: int, world: World) -> list[Case]:
    """n genuine and n mutated ones."""
    good = [GOOD[at % len(GOOD)](world) for at in range(n)]
    return good + [MUTATED[at % len(MUTATED)](world) for at in range(n)]
