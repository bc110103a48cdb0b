from importlib import import_module

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "kaireon.jobs"
    label = "jobs"
    verbose_name = "Background jobs"

    def ready(self) -> None:
        import_module("kaireon.jobs.checks")  # registers the system checks
