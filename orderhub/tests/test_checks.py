from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib import admin
from django.core.checks import ERROR
from django_q.models import Schedule

from orderhub import checks, env, preparation

SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL;"},
}


def found():
    return {message.id.removeprefix("orderhub."): message for message in checks.run_rules()}


@pytest.fixture(autouse=True)
def _sound(settings, tmp_path):
    """An installation in which nothing is wrong."""
    preparation.make_keys(tmp_path / "keys")
    settings.KEY_DIR = tmp_path / "keys"
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.IS_SQLITE = True
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 1}
    settings.STEWARD_BEAT_EVERY = timedelta(seconds=10)
    settings.STEWARD_BEAT_LIMIT = timedelta(seconds=90)


def test_nothing_is_said_about_a_sound_installation():
    assert found() == {}


def test_every_rule_has_its_own_number_and_an_advice():
    numbers = [number for _kind, number, _hint, _find in checks.RULES]

    assert len(set(numbers)) == len(numbers)
    assert all(hint.endswith(".") for _kind, _number, hint, _find in checks.RULES)


def without(values, *names):
    return {name: value for name, value in values.items() if name not in names}


WRONG = {
    "E002": ({"SECRET_KEY": "missing-run-script-setup"}, "There is no secret key"),
    "E003": ({"ORDERHUB_SECRETS": []}, "nothing to seal credentials with"),
    "E004": ({"ORDERHUB_SECRETS": ["short"]}, "Entry 1 of ORDERHUB_SECRETS"),
    "E006": ({"ORDERHUB_FINGERPRINT_KEY": ""}, "Contacts cannot be recognised"),
    "E024": ({"LINKS_KEY": ""}, "Customers' pages have no addresses"),
    "E009": (
        {"STEWARD_SWEEPS": ["orders.nowhere.sweep"]},
        "names orders.nowhere.sweep, which cannot be imported",
    ),
    "E010": ({"Q_CLUSTER": {"retry": 60, "timeout": 60}}, "a second time"),
    "E011": ({"DEMO": True, "ALLOWED_HOSTS": ["hub.example.com"]}, "would answer to hub.example.com"),
    "E012": ({"METRICS_TOKEN": "secret"}, "has 6 characters"),
    "E013": (
        {
            "STATIC_ROOT": "/nowhere",
            "STORAGES": {
                "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
            },
        },
        "no static files were collected",
    ),
    "E015": ({"STEWARD_BEAT_LIMIT": timedelta(seconds=29)}, "less than three heartbeats"),
    "E016": ({"DEBUG": True, "ALLOWED_HOSTS": ["hub.example.com"]}, "Debug mode shows"),
    "E017": ({"ALLOWED_HOSTS": ["*"]}, "accepts every name"),
    "E018": ({"CSRF_TRUSTED_ORIGINS": ["hub.example.com"]}, "does not begin with https://"),
    "E019": ({"MIDDLEWARE": ["axes.middleware.AxesMiddleware"]}, "OTPMiddleware is missing"),
    "E020": ({"IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT": False}, "would run as formulas"),
    "E022": ({"Q_CLUSTER": {"retry": 120, "timeout": 60, "workers": 1}}, "any function named"),
    "E023": ({"FAILED_BODY_KEPT_FOR": timedelta(days=1)}, "would be thrown away before"),
    "W001": ({"ALLOWED_HOSTS": ["hub.example.com"]}, "would travel unencrypted"),
    "W002": ({"Q_CLUSTER": {"retry": 120, "timeout": 60, "workers": 2}}, "only costs memory"),
}


@pytest.mark.parametrize("number", WRONG)
def test_a_wrong_setting_is_told_in_a_sentence(settings, number):
    values, sentence = WRONG[number]
    for name, value in values.items():
        setattr(settings, name, value)

    message = found()[number]

    assert sentence in message.msg
    assert message.msg.endswith(".")
    assert (message.level >= ERROR) is number.startswith("E")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({**SQLITE["OPTIONS"], "transaction_mode": "DEFERRED"}, "without transaction_mode IMMEDIATE"),
        (without(SQLITE["OPTIONS"], "init_command"), "without journal_mode=WAL"),
        (without(SQLITE["OPTIONS"], "timeout"), "gives up waiting"),
    ],
)
def test_sqlite_without_its_safe_options_is_an_error(settings, monkeypatch, options, sentence):
    monkeypatch.setitem(settings.DATABASES, "default", {**SQLITE, "OPTIONS": options})

    assert sentence in found()["E007"].msg


def test_a_database_that_nobody_tested_is_an_error(settings, monkeypatch):
    monkeypatch.setitem(settings.DATABASES, "default", {"ENGINE": "django.db.backends.oracle"})

    assert found()["E008"].msg == "orderhub is not tested on django.db.backends.oracle."


def test_a_key_file_that_others_can_read_is_an_error(settings):
    (settings.KEY_DIR / "secrets.key").chmod(0o640)

    assert "secrets.key can be read by other accounts" in found()["E005"].msg


def test_a_directory_that_cannot_be_written_is_an_error(settings, tmp_path):
    settings.VAR_DIR = tmp_path / "var"
    settings.VAR_DIR.write_text("a file stands where the directory should be")

    assert f"Nothing can be written to {settings.VAR_DIR}." == found()["E014"].msg


def test_a_queue_table_in_the_admin_is_an_error():
    admin.site.register(Schedule)
    try:
        assert "The admin shows django_q.Schedule" in found()["E021"].msg
    finally:
        admin.site.unregister(Schedule)
    assert "E021" not in found()


# What comes from the environment is read once, at the start: a process of its own for each.


def start(**environment):
    """What manage.py check says to an operator who has set these variables."""
    command = [sys.executable, "manage.py", "check"]
    ended = subprocess.run(
        command, cwd=env.ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ORDERHUB_WORKERS", "two", "ORDERHUB_WORKERS must be a whole number of at least 1, not 'two'."),
        ("ORDERHUB_WORKERS", "0", "ORDERHUB_WORKERS must be a whole number of at least 1, not '0'."),
        ("ORDERHUB_TIME_ZONE", "Mars/Base", "ORDERHUB_TIME_ZONE must be a time zone such as Asia/Shanghai"),
        ("DATABASE_URL", "mysql://u:swordfish@h/n", "DATABASE_URL must look like postgres://"),
        ("DATABASE_URL", "nonsense", "DATABASE_URL must look like postgres://"),
    ],
)
def test_an_unusable_variable_is_told_without_a_traceback(name, value, sentence):
    code, said = start(**{name: value})

    assert code == 1
    assert "orderhub.E001" in said
    assert sentence in said
    assert "Traceback" not in said
    assert "swordfish" not in said


def test_production_settings_pass_the_deploy_checks(tmp_path):
    environment = {
        "ORDERHUB_HTTPS": "1",
        "ORDERHUB_HOSTS": "hub.example.com",
        "ORDERHUB_VAR": str(tmp_path),
        "ORDERHUB_KEYS": str(tmp_path / "keys"),
    }
    preparation.make_keys(Path(environment["ORDERHUB_KEYS"]))
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]

    ended = subprocess.run(
        command, cwd=env.ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_web_server_does_not_start_without_a_secret_key(tmp_path):
    environment = {**os.environ, "ORDERHUB_KEYS": str(tmp_path)}
    command = [sys.executable, "-c", "import orderhub.wsgi"]

    ended = subprocess.run(
        command, cwd=env.ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert "There is no secret key" in ended.stderr
