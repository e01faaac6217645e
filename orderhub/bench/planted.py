"""Every claim's test is seen to fail: each of tests/planted/*.patch breaks a copy, and the test it names must notice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

from orderhub import env
from orderhub.bench.figures import Figure, exactly, plain, say

PATCHES = env.ROOT / "tests" / "planted"
PATIENCE = 600
# Code around a planted bug moves and changes: its place is found by the nearest line on each side.
APPLY = ("git", "apply", "--recount", "-C1")
# What pytest says at its end: all passed, or some failed. Anything else is no verdict on a claim.
PASSED, FAILED = 0, 1


@dataclass(frozen=True)
class Planted:
    """One patch: "# test:" names the test that must fail; "# db:" where, if only one database can show it."""

    path: Path
    test: str
    db: str

    @classmethod
    def read(cls, path: Path) -> Planted:
        head = dict(re.findall(r"^# (test|db): (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE))
        if "test" not in head:
            raise ValueError(
                f"{path.name} does not name its test; begin it with “# test: <file>::<function>”"
            )
        return cls(path, head["test"], head.get("db", "sqlite"))


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="only these patches, without .patch")


def run(options: Namespace) -> list[Figure]:
    patches = [Planted.read(path) for path in sorted(PATCHES.glob("*.patch"))]
    chosen = [one for one in patches if not options.names or one.path.stem in options.names]
    directory = Path(tempfile.mkdtemp(prefix="orderhub-planted-"))
    try:
        copy = Copy(directory)
        figures = [_judged(copy, one) for one in chosen]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    missed = sum(not figure.met for figure in figures)
    return [*figures, plain("patches", len(figures)), exactly("not noticed, or not applicable", missed)]


class Copy:
    """The project's files as they are in the working tree, with the virtual environment of the original."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "tree"
        # PostgreSQL runs as a user of its own and must be able to reach its directory.
        directory.chmod(0o711)
        self.whole: dict[tuple[str, str], bool] = {}
        self.last_words: list[str] = []
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=env.ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (env.ROOT / name).is_file():
                (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(env.ROOT / name, self.directory / name)
        (self.directory / ".venv").symlink_to(Path(sys.prefix))
        # A repository of its own, or git would apply patches to the one around it; its index is what mend() goes back to.
        for words in (["init", "-q"], ["add", "--all"]):
            subprocess.run(["git", *words], cwd=self.directory, check=True)
        if self._run([sys.executable, "-m", "orderhub.preparation"]):
            raise RuntimeError("the copy cannot be prepared")

    def _run(self, command: list[str]) -> int:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ORDERHUB_", "DATABASE_"))
        }
        try:
            done = subprocess.run(
                command, cwd=self.directory, env=kept, capture_output=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            return FAILED
        self.last_words = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()[-6:]
        return done.returncode

    def passes(self, test: str, db: str) -> int:
        plugin = ["-p", "orderhub.tests.postgres"] if db == "postgres" else []
        return self._run([sys.executable, "-m", "pytest", *plugin, "-q", "-x", "-p", "no:randomly", test])

    def is_whole(self, test: str, db: str) -> bool:
        """Whether the test passes without any patch."""
        if (test, db) not in self.whole:
            self.whole[test, db] = self.passes(test, db) == PASSED
            if not self.whole[test, db]:
                say("\n".join(f"    {line}" for line in self.last_words))
        return self.whole[test, db]

    def patch(self, path: Path) -> bool:
        return self._run([*APPLY, str(path)]) == 0

    def mend(self) -> None:
        """Every file as it was before patches."""
        subprocess.run(["git", "checkout-index", "--all", "--force"], cwd=self.directory, check=True)


def _judged(copy: Copy, one: Planted) -> Figure:
    say(f"  {one.path.stem} ...")
    verdict = _verdict(copy, one)
    say(f"    {verdict}")
    return Figure(
        f"{one.path.stem}: {one.test.rpartition('::')[2]}", verdict, f"fails ({one.db})", verdict == "fails"
    )


def _verdict(copy: Copy, one: Planted) -> str:
    if not copy.is_whole(one.test, one.db):
        return "the test does not pass without the patch"
    if not copy.patch(one.path):
        return "the patch does not apply"
    code = copy.passes(one.test, one.db)
    copy.mend()
    return {FAILED: "fails", PASSED: "still passes"}.get(code, f"pytest ended with {code}")
