"""Kaireon Compliance: audit log, subject requests, retention and legal hold, for many tenants."""

from kaireon.celery import app as celery_app

__all__ = ["celery_app"]
