"""WSGI entry point for gunicorn."""

import gc
import os

from django.apps import apps
from django.conf import settings
from django.core.wsgi import get_wsgi_application

from kaireon.api.bodies import WholeBodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kaireon.settings")

# As in manage.py.
if not apps.ready:
    gc.disable()
application = WholeBodies(get_wsgi_application(), limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
