from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest

from orderhub import env, preparation, serve
from orderhub.tests.house import left_of, until

pytestmark = [pytest.mark.processes, pytest.mark.embedded]


def outside(**values):
    """The environment without what the test run itself was started with."""
    kept = {
        name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "ORDERHUB_DEMO"}
    }
    return {**kept, **values}


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    """Static files, collected once for all."""
    var = tmp_path_factory.mktemp("var")
    environment = outside(ORDERHUB_VAR=str(var), ORDERHUB_KEYS=str(var / "keys"))
    subprocess.run([sys.executable, "-m", "orderhub.preparation"], cwd=env.ROOT, env=environment, check=True)
    return var / "static"


@pytest.fixture
def installation(tmp_path, static):
    """An installation of the test's own, without demo data, on SQLite."""
    preparation.make_keys(tmp_path / "keys")
    (tmp_path / "static").symlink_to(static)
    return outside(ORDERHUB_VAR=str(tmp_path), ORDERHUB_KEYS=str(tmp_path / "keys"))


def free_port():
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


@contextmanager
def served(environment, port, out):
    """The whole house at work; whatever happens, nothing of it is left at the end."""
    command = [sys.executable, "-m", "orderhub.serve", "--no-demo", "--port", str(port)]
    with out.open("w") as log:
        process = subprocess.Popen(
            command, cwd=env.ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    everybody = []
    try:
        until(lambda: "is ready" in out.read_text() or process.poll() is not None, "ready", patience=120)
        everybody = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        yield process, everybody
    finally:
        for one in [process, *everybody]:
            if one.poll() is None if isinstance(one, subprocess.Popen) else one.is_running():
                one.kill()
        process.wait()


def test_papers_name_the_port_that_is_served_unless_an_address_is_set(monkeypatch):
    for given, named in (
        ({}, "http://127.0.0.1:8123"),
        ({"ORDERHUB_PUBLIC_URL": "https://h.cn"}, "https://h.cn"),
    ):
        monkeypatch.setattr(os, "environ", dict(given))

        serve.set_environment(demo=True, host="127.0.0.1", port=8123)

        assert os.environ["ORDERHUB_PUBLIC_URL"] == named


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process_of_the_house(installation, tmp_path, number):
    with served(installation, free_port(), tmp_path / "log") as (process, everybody):
        # Web server and its worker, steward, and the cluster of at least five.
        assert len(everybody) >= 8

        process.send_signal(number)

        assert process.wait(40) == 0
        assert left_of(everybody, patience=5) == []
    assert "orderhub is ready: http://127.0.0.1:" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("name", ["granian", "steward"])
def test_when_one_part_dies_it_is_named_and_the_rest_ends(installation, tmp_path, name):
    with served(installation, free_port(), tmp_path / "log") as (process, everybody):
        parts = psutil.Process(process.pid).children()
        next(part for part in parts if name in " ".join(part.cmdline())).kill()

        assert process.wait(40) == 1
        assert left_of(everybody, patience=5) == []
    shown = {"granian": "web", "steward": "steward"}[name]
    assert (
        f"The part called {shown} ended with exit code -9. Stopping the rest."
        in (tmp_path / "log").read_text()
    )


def test_a_killed_supervisor_leaves_nobody_behind(installation, tmp_path):
    with served(installation, free_port(), tmp_path / "log") as (process, everybody):
        process.kill()
        process.wait()

        assert left_of(everybody, patience=30) == []


def test_a_port_that_is_taken_is_told_before_anything_starts(installation, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "orderhub.serve", "--no-demo", "--port", str(port)]

        ended = subprocess.run(
            command, cwd=env.ROOT, env=installation, capture_output=True, text=True, check=False
        )

    assert ended.returncode == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in ended.stdout
    assert "script/server --port N" in ended.stdout
    assert not (tmp_path / "orderhub.sqlite3").exists()


def test_a_wrong_setting_stops_the_start_with_its_number(installation, tmp_path):
    (tmp_path / "keys/secrets.key").unlink()

    with served(installation, free_port(), tmp_path / "log") as (process, _everybody):
        assert process.wait(30) == 1

    assert "orderhub.E003" in (tmp_path / "log").read_text()


def test_the_house_may_ask_itself_whatever_public_name_it_has(monkeypatch):
    for name in ("ORDERHUB_HASHED_STATIC", "ORDERHUB_DEMO", "PYTHONUNBUFFERED", "ORDERHUB_URL"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ORDERHUB_HOSTS", "hub.example.com")

    serve.set_environment(demo=False, host="127.0.0.1", port=8000)

    assert env.words("ORDERHUB_HOSTS") == ["hub.example.com", "127.0.0.1"]
