"""Every wrong setting has a number and a sentence that says what, why and what now. Shown by manage.py check, and by
everything that starts the house."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Caution
from django.utils.module_loading import import_string
from django.utils.timezone import now

from orderhub import env

LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "::1", "testserver"}
# Lists of dotted paths, and dicts with dotted paths for values.
LISTED = [
    "ORDER_EVENT_PIPELINE",
    "ORDER_PANELS",
    "GATED_ACTIONS",
    "TEMPLATE_PARTS",
    "WIZARD_STEPS",
    "STEWARD_SWEEPS",
]
NEEDED_MIDDLEWARE = ["axes.middleware.AxesMiddleware", "django_otp.middleware.OTPMiddleware"]
# Their pages let whoever may edit them choose what code a worker runs.
NEVER_IN_ADMIN = {
    "django_q.schedule",
    "django_q.task",
    "django_q.success",
    "django_q.failure",
    "django_q.ormq",
}
SHORTEST_TOKEN = 24

Finder = Callable[[], Iterable[str]]
RULES: list[tuple[type[Error] | type[Caution], str, str, Finder]] = []


def rule(number: str, hint: str) -> Callable[[Finder], Finder]:
    """The decorated function yields one sentence for each thing that is wrong; E stops the start, W does not."""
    kind = Error if number.startswith("E") else Caution

    def add(find: Finder) -> Finder:
        RULES.append((kind, f"orderhub.{number}", hint, find))
        return find

    return add


@register()
def run_rules(**_given: Any) -> list[CheckMessage]:
    return [kind(text, hint=hint, id=number) for kind, number, hint, find in RULES for text in find()]


@rule("E001", "Correct the environment variable, or remove it for the default.")
def unusable_variables() -> Iterator[str]:
    yield from env.problems


@rule("E002", "Run script/setup, or set ORDERHUB_SECRET_KEY to at least 50 random characters.")
def no_secret_key() -> Iterator[str]:
    if settings.SECRET_KEY == "missing-run-script-setup":  # noqa: S105 - the placeholder itself
        yield f"There is no secret key: {settings.KEY_DIR / 'django.key'} is missing or cannot be read."


@rule(
    "E003", "Run script/setup, or restore the file from a backup: what it sealed cannot be read without it."
)
def no_secrets() -> Iterator[str]:
    if not settings.ORDERHUB_SECRETS:
        yield f"There is nothing to seal credentials with: {settings.KEY_DIR / 'secrets.key'} is missing or empty."


@rule("E004", "Each must be a Fernet key of 44 characters; manage.py keys rotate makes a new one.")
def unusable_secrets() -> Iterator[str]:
    for position, secret in enumerate(settings.ORDERHUB_SECRETS, start=1):
        try:
            Fernet(secret)
        except ValueError:
            yield f"Entry {position} of ORDERHUB_SECRETS (or secrets.key) is not a Fernet key."


@rule("E005", "Run: chmod 600 on the file.")
def readable_keys() -> Iterator[str]:
    for file in key_files():
        if os.name == "posix" and file.stat().st_mode & 0o077:
            yield f"The key file {file} can be read by other accounts of this machine."


@rule("E006", "Run script/setup, or set ORDERHUB_FINGERPRINT_KEY.")
def no_fingerprint_key() -> Iterator[str]:
    if not settings.ORDERHUB_FINGERPRINT_KEY:
        yield f"Contacts cannot be recognised: {settings.KEY_DIR / 'fingerprint.key'} is missing or empty."


@rule("E024", "Run script/setup, or set ORDERHUB_LINKS_KEY.")
def no_links_key() -> Iterator[str]:
    if not settings.LINKS_KEY:
        yield f"Customers' pages have no addresses: {settings.KEY_DIR / 'links.key'} is missing or empty."


@rule("E025", "Put the file back, or take ORDERHUB_PAPER_SIGNER out and issue without a signature.")
def unusable_signer() -> Iterator[str]:
    from promises.document import Unprintable, signer

    try:
        signer()
    except Unprintable as refused:
        yield str(refused)


@rule("W003", "Put a new certificate into the file; manage.py paper_key makes one with its key.")
def signer_that_ends() -> Iterator[str]:
    from promises.document import Unprintable, signer

    try:
        found = signer()
    except Unprintable:
        return
    if found and found.until < now() + timedelta(days=30):
        yield f"The certificate that signs papers ends on {found.until.date().isoformat()}: from then on none is issued."


@rule("E007", "Take the options over from orderhub/settings.py as they come.")
def unsafe_sqlite() -> Iterator[str]:
    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("sqlite3"):
        return
    options = database.get("OPTIONS", {})
    if options.get("transaction_mode") != "IMMEDIATE":
        yield "SQLite runs without transaction_mode IMMEDIATE: concurrent writers would fail with 'database is locked'."
    if "journal_mode=wal" not in options.get("init_command", "").lower().replace(" ", ""):
        yield "SQLite runs without journal_mode=WAL: readers would wait for every writer."
    if options.get("timeout", 0) < 5:
        yield "SQLite gives up waiting for another writer in less than 5 seconds."


@rule("E008", "Leave DATABASE_URL empty for SQLite, or point it to PostgreSQL 15 or newer.")
def unknown_database() -> Iterator[str]:
    engine = settings.DATABASES["default"]["ENGINE"]
    if not engine.endswith(("sqlite3", "postgresql", ".dummy")):
        yield f"orderhub is not tested on {engine}."


@rule("E009", "Correct the path in the settings, or remove it from the list.")
def unknown_paths() -> Iterator[str]:
    for name in LISTED:
        listed = getattr(settings, name, [])
        for path in listed.values() if isinstance(listed, dict) else listed:
            if not _is_importable(path):
                yield f"{name} names {path}, which cannot be imported."


@rule("E010", "Raise retry in Q_CLUSTER above timeout.")
def impatient_queue() -> Iterator[str]:
    queue: dict[str, Any] = settings.Q_CLUSTER
    if queue.get("retry", 60) <= (queue.get("timeout") or 0):
        yield "Q_CLUSTER hands a task out a second time (retry) before the first worker is stopped (timeout)."


@rule("E011", "Remove ORDERHUB_DEMO, or the host from ORDERHUB_HOSTS.")
def public_demo() -> Iterator[str]:
    for host in _public_hosts() if settings.DEMO else []:
        yield f"Demo mode has published passwords and no second factor, and would answer to {host}."


@rule("E012", "Use at least 24 random characters, or leave ORDERHUB_METRICS_TOKEN empty.")
def short_metrics_token() -> Iterator[str]:
    if 0 < len(settings.METRICS_TOKEN) < SHORTEST_TOKEN:
        yield f"ORDERHUB_METRICS_TOKEN has {len(settings.METRICS_TOKEN)} characters and could be guessed."


@rule("E013", "Run script/setup.")
def missing_static_files() -> Iterator[str]:
    is_hashed = "Manifest" in settings.STORAGES["staticfiles"]["BACKEND"]
    if is_hashed and not (Path(settings.STATIC_ROOT) / "staticfiles.json").exists():
        yield f"The pages would have no style: no static files were collected in {settings.STATIC_ROOT}."


@rule("E014", "Give the account that runs orderhub the right to write there, or set ORDERHUB_VAR.")
def closed_directories() -> Iterator[str]:
    for directory in (settings.VAR_DIR, settings.MEDIA_ROOT, settings.UPLOAD_DIR):
        is_open = Path(directory).is_dir() and os.access(directory, os.W_OK | os.X_OK)
        if Path(directory).exists() and not is_open:
            yield f"Nothing can be written to {directory}."


@rule("E015", "Set ORDERHUB_BEAT_LIMIT_SECONDS to at least three times ORDERHUB_BEAT_SECONDS.")
def nervous_watchdog() -> Iterator[str]:
    if settings.STEWARD_BEAT_LIMIT < 3 * settings.STEWARD_BEAT_EVERY:
        yield "One late heartbeat would start the workers anew: the limit is less than three heartbeats."


@rule("E016", "Remove ORDERHUB_DEBUG, or the host from ORDERHUB_HOSTS.")
def public_debugging() -> Iterator[str]:
    for host in _public_hosts() if settings.DEBUG else []:
        yield f"Debug mode shows settings and data on error pages, and would answer to {host}."


@rule("E017", "Name the hosts in ORDERHUB_HOSTS, separated by commas.")
def any_host() -> Iterator[str]:
    if "*" in settings.ALLOWED_HOSTS:
        yield "ORDERHUB_HOSTS accepts every name (*): links in messages could be made to point elsewhere."
    if not settings.ALLOWED_HOSTS:
        yield "ORDERHUB_HOSTS is empty: every request would be refused."


@rule("E018", "Write for example https://hub.example.com.")
def origins_without_scheme() -> Iterator[str]:
    for origin in settings.CSRF_TRUSTED_ORIGINS:
        if not origin.startswith(("https://", "http://")):
            yield f"ORDERHUB_ORIGINS has {origin}, which does not begin with https://."


@rule("E019", "Put it back into MIDDLEWARE.")
def open_login() -> Iterator[str]:
    for name in NEEDED_MIDDLEWARE:
        if name not in settings.MIDDLEWARE:
            yield f"{name} is missing: the login would not be protected."


@rule("E020", "Set IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True.")
def formulas_in_exports() -> Iterator[str]:
    if not getattr(settings, "IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT", False):
        yield "Exported cells that begin with = would run as formulas on the desk of whoever opens them."


@rule("E021", "Unregister it in orderhub/admin.py.")
def queue_in_admin() -> Iterator[str]:
    from django.contrib.admin import site

    for model in site._registry:
        if model._meta.label_lower in NEVER_IN_ADMIN:
            yield f"The admin shows {model._meta.label}: whoever may edit it chooses what code a worker runs."


@rule("E022", 'Set it to "orders.queue.ListedTasks".')
def open_queue() -> Iterator[str]:
    if settings.Q_CLUSTER.get("broker_class") != "orders.queue.ListedTasks":
        yield "Q_CLUSTER has another broker_class: workers would run any function named in the queue's table."


@rule("E023", "Set FAILED_BODY_KEPT_FOR to at least BODY_KEPT_FOR; both must be longer than a day.")
def short_memory() -> Iterator[str]:
    if not 0 < settings.BODY_KEPT_FOR.days <= settings.FAILED_BODY_KEPT_FOR.days:
        yield "Bodies of failed messages would be thrown away before those of messages that were read."


@rule("W001", "Put a TLS proxy in front and set ORDERHUB_HTTPS=1.")
def plain_http() -> Iterator[str]:
    if _public_hosts() and not settings.SESSION_COOKIE_SECURE:
        yield f"Passwords for {', '.join(_public_hosts())} would travel unencrypted: ORDERHUB_HTTPS is not set."


@rule("W002", "Set ORDERHUB_WORKERS=1, or use PostgreSQL.")
def idle_workers() -> Iterator[str]:
    queue: dict[str, Any] = settings.Q_CLUSTER
    if settings.IS_SQLITE and queue.get("workers", 1) > 1:
        yield "SQLite has one writer: more than one worker only costs memory."


def key_files() -> list[Path]:
    directory, signer = Path(settings.KEY_DIR), Path(settings.PAPER_SIGNER or "nobody")
    found = sorted(directory.glob("*.key")) if directory.is_dir() else []
    return [*found, signer] if signer.is_file() else found


def _public_hosts() -> list[str]:
    return [host for host in settings.ALLOWED_HOSTS if host not in LOOPBACK]


def _is_importable(path: str) -> bool:
    try:
        import_string(path)
    except ImportError:
        return False
    return True
