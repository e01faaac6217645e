"""The WSGI entry point that granian serves."""

from __future__ import annotations

import os

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderhub.settings")
application = get_wsgi_application()

from orderhub.checks import no_secret_key  # noqa: E402 - needs the application

# A web server runs no system checks, and with the placeholder for a key anybody could sign a session.
for problem in no_secret_key():
    raise ImproperlyConfigured(problem)
