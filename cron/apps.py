from importlib import import_module

from django.apps import AppConfig


class CronConfig(AppConfig):
    name = "cron"
    verbose_name = "Scheduled jobs"

    def ready(self) -> None:
        import_module("cron.alarms")  # hears of late and failed runs
