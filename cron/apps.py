from importlib import import_module

from django.apps import AppConfig


class CronConfig(AppConfig):
    name = "cron"
    verbose_name = "Scheduled jobs"

    def ready(self) -> None:
        import_module("cron.alarms")  # hears of late and failed runs
        import_module("cron.coming")  # tells the pages of retention when cleanup runs next
        import_module("cron.declared")  # registers what can be declared
        import_module("cron.checks")  # registers the system checks
        import_module("cron.detection")  # hears how each scan of the logs ended
        import_module("cron.evidence")  # adds to the evidence of controls
        import_module("cron.figures")  # registers what alert rules can watch
        import_module("cron.dead_jobs")  # hears of background jobs that were given up
