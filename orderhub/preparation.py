"""What an installation needs on disk before it can start: directories, key files, static files. Run by script/setup."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet

from orderhub import env

KEY_MAKERS: dict[str, Callable[[], str]] = {
    "django.key": lambda: secrets.token_urlsafe(50),
    "secrets.key": lambda: Fernet.generate_key().decode(),
    "fingerprint.key": lambda: secrets.token_urlsafe(32),
    "links.key": lambda: secrets.token_urlsafe(32),
}


def make_key(key_file: Path, value: str) -> bool:
    """Write a new key file that only its owner can read; False if there is one already, which is never touched."""
    try:
        handle = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="ascii") as opened:
        opened.write(value + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    return True


def make_keys(directory: Path) -> list[str]:
    """Make the key files that are missing; returns their names."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [name for name, make in KEY_MAKERS.items() if make_key(directory / name, make())]


def static_digest() -> str:
    """Changes when a static file of ours or the version of a package that brings some does."""
    digest = hashlib.sha256((env.ROOT / "requirements.txt").read_bytes())
    for app in ("orderhub", "orders", "integrations"):
        for file in sorted((env.ROOT / app / "static").rglob("*")):
            seen = file.stat()
            digest.update(f"{file}{seen.st_size}{seen.st_mtime_ns}".encode())
    return digest.hexdigest()


def collect_static(var: Path) -> None:
    """Collect the static files under hashed names, unless nothing changed since the last time."""
    stamp = var / "static" / ".collected"
    digest = static_digest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return
    os.environ["ORDERHUB_HASHED_STATIC"] = "1"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderhub.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("collectstatic", interactive=False, verbosity=0, skip_checks=True)
    stamp.write_text(digest, encoding="ascii")


def main() -> None:
    var = env.path("ORDERHUB_VAR", env.ROOT / "var")
    for directory in (var, var / "uploads", var / "files"):
        directory.mkdir(parents=True, exist_ok=True)
    keys = env.path("ORDERHUB_KEYS", var / "keys")
    made = make_keys(keys)
    if made:
        sys.stderr.write(f"Made {', '.join(made)} in {keys}. Keep a copy: manage.py keys backup FILE.\n")
    collect_static(var)


if __name__ == "__main__":
    main()
