"""Routes of the operations port (OPS_PORT), none of which the public port knows."""

from django.urls import path

from kaireon.ops import api, metrics

urlpatterns = [
    path("healthz", api.healthz, name="healthz"),
    path("readyz", api.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
