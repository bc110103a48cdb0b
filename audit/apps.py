from importlib import import_module

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Audit log"

    def ready(self) -> None:
        import_module("audit.spool.checks")
        import_module("audit.receivers")  # hears the signals of the layers below
        import_module("audit.pruning.prune")  # registers what a second person approves
        import_module("audit.checks")  # registers the system checks
        import_module("audit.shipping.checks")
        import_module("audit.restoring.gate")  # says whether this database may be served
        import_module("audit.tasks")  # registers the job types
