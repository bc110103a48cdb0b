"""A plain Django project with users, on a database of its own."""

import os

import environ

SECRET_KEY = "bench"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "tests.bench.append.urls"
DATABASES = {
    "default": {
        **environ.Env().db_url_config(os.environ["DATABASE_URL"]),
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": 60,
        "OPTIONS": {"connect_timeout": 5, "application_name": "bench"},
    }
}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "tests.bench.append.plain"]
