from importlib import import_module

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "kaireon.approvals"
    label = "approvals"
    verbose_name = "Approvals"

    def ready(self) -> None:
        import_module("kaireon.approvals.members")  # registers its verbs
