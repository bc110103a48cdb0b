"""The Celery application. Rows are the queue of record; Celery carries the wake-up."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kaireon.settings")

app = Celery("kaireon")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
