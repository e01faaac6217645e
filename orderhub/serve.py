"""Runs the whole house on one machine: prepares the database, starts every part, ends them all together.

Deliberately without Django: this process only waits, and should weigh next to nothing.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from orderhub import env

READY_WITHIN = 180.0
GRACE = 15.0
PR_SET_PDEATHSIG = 1
MANAGE = [sys.executable, str(env.ROOT / "manage.py")]


class Stopped(Exception):
    """Somebody asked the whole house to stop."""


@dataclass
class Part:
    """One child process, leader of a process group of its own."""

    name: str
    process: subprocess.Popen[bytes]

    def ask_to_stop(self) -> None:
        with suppress(ProcessLookupError):
            self.process.terminate()

    def make_sure(self, deadline: float) -> None:
        """Wait for the end until the deadline, then kill whatever is left of the group."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.1, deadline - time.monotonic()))
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def die_with_parent() -> None:
    """Runs in the child: if this supervisor is killed outright, the kernel ends the child too (Linux only)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(name: str, command: list[str]) -> Part:
    # A session of its own: Ctrl-C reaches only the supervisor, which ends the parts in order.
    process = subprocess.Popen(  # noqa: S603 - our own commands
        command, cwd=env.ROOT, start_new_session=True, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent
    )
    return Part(name, process)


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/server", description="Runs web, steward, worker and sandbox."
    )
    parser.add_argument("--port", type=int, default=8000, help="port of the web server (8000)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--no-demo", action="store_true", help="no demo data, no sandbox partners")
    parser.add_argument("--threads", type=int, default=4, help="threads of the web server (4)")
    return parser.parse_args(given)


def refusal_of_port(host: str, port: int) -> str:
    """Why the web server could not listen there; empty if it can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except (OSError, OverflowError) as error:
            return f"Cannot listen on {host}:{port} ({error}). Choose another with script/server --port N."
    return ""


def set_environment(*, demo: bool, host: str, port: int) -> None:
    os.environ["ORDERHUB_HASHED_STATIC"] = "1"
    os.environ["ORDERHUB_DEMO"] = "1" if demo else "0"
    os.environ["PYTHONUNBUFFERED"] = "1"
    os.environ.setdefault("ORDERHUB_URL", f"http://{host}:{port}")
    # What is printed on papers leads here, whatever the port.
    os.environ.setdefault("ORDERHUB_PUBLIC_URL", f"http://{host}:{port}")
    named = env.words("ORDERHUB_HOSTS")
    if named and host not in named:
        # The house asks itself, here and from the sandbox, by its own address.
        os.environ["ORDERHUB_HOSTS"] = ",".join([*named, host])


def web_command(host: str, port: int, threads: int) -> list[str]:
    granian = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port)]
    threading = ["--workers", "1", "--blocking-threads", str(threads), "--respawn-failed-workers"]
    return [
        *granian,
        *threading,
        "--no-ws",
        "--no-access-log",
        "--log-level",
        "warning",
        "orderhub.wsgi:application",
    ]


def start_parts(options: argparse.Namespace) -> list[Part]:
    parts = [
        start("web", web_command(options.host, options.port, options.threads)),
        start("steward", [*MANAGE, "steward"]),
    ]
    if not options.no_demo and (env.ROOT / "integrations/management/commands/sandbox.py").exists():
        parts.append(start("sandbox", [*MANAGE, "sandbox"]))
    return parts


def first_ended(parts: list[Part]) -> Part | None:
    return next((part for part in parts if part.process.poll() is not None), None)


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_until_ready(url: str, parts: list[Part]) -> bool:
    """True once /readyz says yes; False if a part ended or it took too long."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and first_ended(parts) is None:
        if is_ready(url):
            return True
        time.sleep(0.3)
    return False


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def announce(url: str, *, demo: bool) -> None:
    say(f"\norderhub is ready: {url}/admin/")
    logins = env.path("ORDERHUB_VAR", env.ROOT / "var") / "logins.txt"
    if demo and logins.exists():
        say(logins.read_text(encoding="utf-8").rstrip())
    if not demo:
        say("Make the first account with: .venv/bin/python manage.py createsuperuser")
    say("Ctrl-C ends everything.\n")


def stop(parts: list[Part]) -> None:
    # A second Ctrl-C must not leave half of them running.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for part in parts:
        part.ask_to_stop()
    deadline = time.monotonic() + GRACE
    for part in parts:
        part.make_sure(deadline)


def watch(url: str, parts: list[Part], *, demo: bool) -> int:
    """Returns when a part has ended by itself, which is always a failure."""
    if wait_until_ready(url, parts):
        announce(url, demo=demo)
        while first_ended(parts) is None:
            time.sleep(0.5)
    ended = first_ended(parts)
    if ended is None:
        say(f"Not ready after {READY_WITHIN:.0f} seconds; {url}/readyz says why. Stopping.")
    else:
        say(
            f"The part called {ended.name} ended with exit code {ended.process.returncode}. Stopping the rest."
        )
    return 1


def on_signal(number: int, frame: FrameType | None) -> None:
    raise Stopped


def main(given: list[str]) -> int:
    options = arguments(given)
    refusal = refusal_of_port(options.host, options.port)
    if refusal:
        say(refusal)
        return 2
    shown_host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(options.host, options.host)  # noqa: S104
    set_environment(demo=not options.no_demo, host=shown_host, port=options.port)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    parts: list[Part] = []
    try:
        parts.append(start("preparation", [*MANAGE, "bring_up"]))
        if parts[0].process.wait() != 0:
            return 1
        parts[:] = start_parts(options)
        return watch(f"http://{shown_host}:{options.port}", parts, demo=not options.no_demo)
    except Stopped:
        say("\nStopping ...")
        return 0
    finally:
        stop(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
