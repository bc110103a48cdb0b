"""WSGI entry point for gunicorn."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from kaireon.api.bodies import WholeBodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kaireon.settings")

application = WholeBodies(get_wsgi_application(), limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
