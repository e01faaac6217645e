"""Settings of one installation. What differs between installations comes from the environment (see orderhub/env.py)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import dj_database_url
import django_stubs_ext

from orderhub import env, look, policy

django_stubs_ext.monkeypatch()

BASE_DIR = env.ROOT
VAR_DIR = env.path("ORDERHUB_VAR", BASE_DIR / "var")
KEY_DIR = env.path("ORDERHUB_KEYS", VAR_DIR / "keys")

DEMO = env.flag("ORDERHUB_DEMO")
DEBUG = env.flag("ORDERHUB_DEBUG")

# script/setup writes the key files. Without one every process would draw its own key, so a check (orderhub.E001) stops the start.
_secret_keys = env.secret_lines("ORDERHUB_SECRET_KEY", KEY_DIR / "django.key")
SECRET_KEY = _secret_keys[0] if _secret_keys else "missing-run-script-setup"
SECRET_KEY_FALLBACKS = _secret_keys[1:]
# For stored credentials and contacts; newest first. Never SECRET_KEY: that one is rotated for other reasons.
ORDERHUB_SECRETS = env.secret_lines("ORDERHUB_SECRETS", KEY_DIR / "secrets.key")

# For recognising a person without storing them in clear. Apart from the secrets: dropping an old one must not make every
# known person a stranger.
ORDERHUB_FINGERPRINT_KEY = env.secret("ORDERHUB_FINGERPRINT_KEY", KEY_DIR / "fingerprint.key")
# Makes the addresses of customers' pages. Another key makes other addresses.
LINKS_KEY = env.secret("ORDERHUB_LINKS_KEY", KEY_DIR / "links.key")
# Where customers reach this house. It is printed on documents, and its host begins the name of the transparency log.
PUBLIC_URL = env.web_address("ORDERHUB_PUBLIC_URL", "http://127.0.0.1:8000")
# The newest head that was signed in each log, outside the database (promises/ledger/fence.py).
LEDGER_DIR = VAR_DIR / "ledger"
# Papers of commitments: stored bytes, never made again. To be kept with the database.
DOCUMENT_DIR = VAR_DIR / "documents"
LEDGER_KEY_DIR = KEY_DIR
# A PEM file, key and certificate, that signs the papers themselves, and who stamps those signatures; none unless named.
PAPER_SIGNER = env.text("ORDERHUB_PAPER_SIGNER")
PAPER_TSA_URL = env.text("ORDERHUB_PAPER_TSA_URL")
# Keys of other sellers' logs that this house signs as a witness; and who signs ours: "KEY ADDRESS" each.
WITNESSED_LOGS = env.words("ORDERHUB_WITNESSED_LOGS")
WITNESSES = env.words("ORDERHUB_WITNESSES")
# The time-stamp authority, and the certificates (PEM) at whose end its stamps must lead.
TSA_URL = env.text("ORDERHUB_TSA_URL")
TSA_ROOTS = env.path("ORDERHUB_TSA_ROOTS", VAR_DIR / "tsa-roots.pem")
OTS_CALENDARS = env.words("ORDERHUB_OTS_CALENDARS")
# The mail server, "submission://NAME:PASSWORD@HOST" or "smtp://HOST:25"; none unless named.
MAIL_URL = env.text("ORDERHUB_MAIL_URL")
_mail = env.mail_server("ORDERHUB_MAIL_URL")
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_BACKEND"], _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"], _mail["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail["EMAIL_USE_TLS"], _mail["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.text("ORDERHUB_MAIL_FROM", "orderhub@localhost")
NOTARY_URL = env.text("ORDERHUB_NOTARY_URL")
NOTARY_ACCESS_KEY = env.text("ORDERHUB_NOTARY_ACCESS_KEY")
NOTARY_SECRET = env.text("ORDERHUB_NOTARY_SECRET")
# Services that receipts over the heads of our logs come from: classes as promises.anchors.services.Service has them.
ANCHOR_SERVICES = [
    "promises.anchors.rfc3161.Authority",
    "promises.anchors.calendars.Calendars",
    "promises.anchors.notary.Chain",
    "promises.anchors.mail.Mail",
]
# What a Prometheus server sends to read /metrics. Empty: staff only.
METRICS_TOKEN = env.text("ORDERHUB_METRICS_TOKEN")

ALLOWED_HOSTS = env.words("ORDERHUB_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("ORDERHUB_ORIGINS")

INSTALLED_APPS = [
    "orderhub",
    "promises",
    "integrations",
    "orders",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.import_export",
    "orderhub.apps.HubAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_fsm",
    "django_q",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "axes",
    "import_export",
]

MIDDLEWARE = [
    "orderhub.request_id.request_id",
    "csp.middleware.CSPMiddleware",
    "orderhub.policy.PagePolicy",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    # Before anything that looks up who asks: it does that itself, for one address, with two small statements.
    "orderhub.live.short_way",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "orderhub.middleware.asked_language",
    "django.middleware.common.CommonMiddleware",
    "orderhub.middleware.withheld_origin",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "orderhub.middleware.whole_login",
    "orderhub.middleware.acting_person",
    "orderhub.middleware.own_desk",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "orderhub.live.Reading",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "orderhub.urls"
WSGI_APPLICATION = "orderhub.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _server(url: str) -> dict[str, Any]:
    """The server that DATABASE_URL names. A bad address must not be shown: it may contain a password."""
    try:
        parsed = dj_database_url.parse(url)
    except ValueError:
        parsed = {}
    if not str(parsed.get("ENGINE", "")).endswith("postgresql") or not parsed.get("NAME"):
        env.problems.append("DATABASE_URL must look like postgres://user:password@host:5432/name.")
        return {"ENGINE": "django.db.backends.dummy"}
    # 0: what orderhub/prepared.py asks is prepared at its first use. Django's own cursors prepare nothing.
    options = {**parsed.get("OPTIONS", {}), "prepare_threshold": 0}
    return {**parsed, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}


def _database() -> dict[str, Any]:
    """PostgreSQL if DATABASE_URL says so, else SQLite under var/ with the settings of docs/benchmarks.md."""
    url = env.text("DATABASE_URL")
    if url:
        return _server(url)
    return {
        "ENGINE": "orderhub.sqlite3",
        "NAME": VAR_DIR / "orderhub.sqlite3",
        # Closing the last connection would checkpoint and delete the WAL file: keep it open.
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # Writers queue at BEGIN; without this, readers that turn writers fail with "database is locked".
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-20000; PRAGMA temp_store=MEMORY;"
                # Without it REPLACE deletes rows behind the back of the append-only triggers.
                "PRAGMA recursive_triggers=ON;"
            ),
        },
        # A file, not memory: tests that start real processes share it.
        "TEST": {"NAME": str(VAR_DIR / "test.sqlite3")},
    }


DATABASES = {"default": _database()}
IS_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# Wrong passwords from one address, or for one name from any, within AXES_COOLOFF_TIME (orderhub/login.py).
LOGIN_SPRAY_LIMIT = 40
OTP_TOTP_ISSUER = "orderhub"

UNFOLD = look.UNFOLD
CONTENT_SECURITY_POLICY = {"DIRECTIVES": policy.STRICT}
# ?_state=<name> shows a list in that state (orders/states.py). For looking at screens, never for a house at work.
SHOW_STATES = DEBUG

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.zone("ORDERHUB_TIME_ZONE", "Asia/Shanghai")
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if env.flag("ORDERHUB_HASHED_STATIC")
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
MEDIA_ROOT = VAR_DIR / "files"
UPLOAD_DIR = VAR_DIR / "uploads"

# One message, one import chunk: larger bodies are refused with 413 (integrations/inbox.py).
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
INBOUND_MAX_BYTES = 5 * 1024 * 1024
IMPORT_MAX_BYTES = 200 * 1024 * 1024

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Cells that a spreadsheet would run are escaped on export; import_export leaves this off by default.
IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# TLS ends at a proxy in front; ORDERHUB_HTTPS=1 says there is one.
if env.flag("ORDERHUB_HTTPS"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    # Asked by machines from inside, past the proxy.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31536000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["integrations.tokens.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["integrations.throttling.TokenThrottle"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "orderhub",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    # No badge from a server that checks schemas for strangers. Outside the demo the page only reads: one click on it
    # must not report anything about a real order.
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "validatorUrl": None,
        "supportedSubmitMethods": ["get", "post"] if DEMO else ["get"],
    },
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {"StepEnum": "orders.stages.Step"},
}

# Background work. The queue only says "work is waiting": what must happen stands in our own rows (docs/data-flow.md).
Q_CLUSTER = {
    "name": "orderhub",
    "orm": "default",
    "broker_class": "orders.queue.ListedTasks",
    # Nothing is scheduled in the queue: its scheduler looks every 30 seconds only, the steward every second.
    "scheduler": False,
    # SQLite has one writer: a second worker would only wait for the first.
    "workers": env.number("ORDERHUB_WORKERS", 1 if IS_SQLITE else 2, at_least=1),
    "timeout": 60,
    "retry": 120,
    "max_attempts": 3,
    "ack_failures": False,
    "catch_up": False,
    "bulk": 1,
    "queue_limit": 4,
    "save_limit": -1,
    "recycle": 500,
    "max_rss": 300000,
    "poll": 0.2,
    "guard_cycle": 1,
}

# Steward: how long a worker may be silent before its process group is started anew.
STEWARD_BEAT_EVERY = timedelta(seconds=env.number("ORDERHUB_BEAT_SECONDS", 10, at_least=1))
STEWARD_BEAT_LIMIT = timedelta(seconds=env.number("ORDERHUB_BEAT_LIMIT_SECONDS", 90, at_least=1))

# Who reacts to a recorded order event, in this order. Each writes rows only, in a savepoint of its own.
ORDER_EVENT_PIPELINE = [
    "orders.todos.observe",
    "orders.steps.observe",
    "promises.estimates.reaction.observe",
    "promises.commitments.asking.observe",
    "promises.tracking.links.observe",
    "promises.tracking.updates.observe",
]
# Panels of the order's page, in order: dotted paths of functions (order, request) -> dict with title, template, context; or None.
ORDER_PANELS: list[str] = [
    "promises.estimates.panel.panel",
    "promises.commitments.panel.panel",
    "promises.tracking.panel.panel",
]
# Actions that need a second person, and the gate that gives it. Empty until a gate is installed.
GATED_ACTIONS: dict[str, str] = {}
# What the one-click template installs, in order: dotted paths of functions that give one orders.wanted.Part each.
TEMPLATE_PARTS = [
    "orders.starting.rules",
    "orders.starting.roles",
    "orders.starting.reasons",
    "orders.starting.calendar",
    "orders.starting.places",
]
# The steps of setting up, in order: dotted paths of objects as orderhub.wizard.Step describes them.
WIZARD_STEPS = [
    "orderhub.wizard_steps.place",
    "orderhub.wizard_steps.install",
    "orderhub.wizard_steps.source",
    "orderhub.wizard_steps.mapping",
    "orderhub.wizard_steps.done",
]
# What the steward calls every five seconds: short, repeatable, each its own transaction.
STEWARD_SWEEPS = [
    "orders.tasks.sweep",
    "orders.board.bulk_runs.sweep",
    "promises.backtest_runs.sweep",
    "promises.ledger.audit_trail.sweep",
    "promises.ledger.sequencer.sweep",
    "promises.ledger.witnesses.sweep",
    "promises.anchors.anchoring.sweep",
    "promises.commitments.asking.sweep",
    "promises.estimates.watching.sweep",
    "promises.tracking.updates.sweep",
    "promises.verification.rate.sweep",
]

UNDO_WINDOW = timedelta(minutes=10)
# Who knows what a step has brought about outside, in words: functions (order, step, facts) -> text; "" = nothing yet.
STEP_EFFECTS: list[str] = []
BODY_KEPT_FOR = timedelta(days=30)
FAILED_BODY_KEPT_FOR = timedelta(days=90)
IDEMPOTENCY_KEPT_FOR = timedelta(days=7)
WEBHOOK_TOLERANCE = timedelta(minutes=5)
# Per token and web process; a full minute's worth may come at once.
API_REQUESTS_PER_MINUTE = env.number("ORDERHUB_API_PER_MINUTE", 6000)
# How often attestation numbers may be typed, by one address and by all; whoever has the code of a document is not counted.
VERIFY_PER_MINUTE = 10
VERIFY_PER_MINUTE_IN_ALL = 600

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "orderhub.request_id.JsonLines"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("ORDERHUB_LOG", "WARNING")},
}
