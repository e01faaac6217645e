"""What the installation is told from outside: environment variables first, then the key files under var/keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dj_email_url

ROOT = Path(__file__).resolve().parent.parent

# What was set to something unusable, in plain sentences; the system check orderhub.E001 reports them. Raising here would
# show the operator a traceback instead.
problems: list[str] = []


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def flag(name: str, *, default: bool = False) -> bool:
    value = text(name).lower()
    return value in {"1", "true", "yes", "on"} if value else default


def number(name: str, default: int, *, at_least: int = 0) -> int:
    """The variable as a whole number; the default, and a line in problems, if it is something else or too small."""
    value = text(name)
    if not value:
        return default
    if value.isascii() and value.isdigit() and int(value) >= at_least:
        return int(value)
    problems.append(f"{name} must be a whole number of at least {at_least}, not {value!r}.")
    return default


def zone(name: str, default: str) -> str:
    """The variable as the name of a time zone; the default, and a line in problems, if there is no such zone."""
    value = text(name, default)
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems.append(f"{name} must be a time zone such as Asia/Shanghai, not {value!r}.")
        return default
    return value


def web_address(name: str, default: str) -> str:
    """The variable as the beginning of a web address, without a slash at its end; the default, and a line in problems."""
    value = text(name, default).rstrip("/")
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if (
        parts.scheme in {"http", "https"}
        and parts.hostname
        and not (parts.path or parts.query or parts.username)
    ):
        return value
    problems.append(f"{name} must look like https://promises.example.com, not {value!r}.")
    return default


def mail_server(name: str) -> dict[str, Any]:
    """The variable as Django's settings of a mail server; one that sends nothing, and a line in problems, if it is none."""
    value = text(name)
    nothing: dict[str, Any] = dj_email_url.parse("dummy://")
    if not value:
        return nothing
    try:
        found: dict[str, Any] = dj_email_url.parse(value)
    except ValueError:
        found = nothing
    if value.startswith(("smtp://", "submission://")) and found["EMAIL_HOST"]:
        return found
    # Not the value: there is a password in it.
    problems.append(
        f"{name} must look like submission://name:password@mail.example.com or smtp://mail.example.com."
    )
    return nothing


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def path(name: str, default: Path) -> Path:
    value = text(name)
    return Path(value) if value else default


def secret_lines(variable: str, key_file: Path) -> list[str]:
    """Secrets from the variable (comma separated) or the key file (one a line), newest first; [] if neither is there."""
    from_environment = words(variable)
    if from_environment:
        return from_environment
    try:
        lines = key_file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip()]


def secret(variable: str, key_file: Path) -> str:
    """The newest of secret_lines; empty if there is none."""
    return next(iter(secret_lines(variable, key_file)), "")
