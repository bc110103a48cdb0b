from importlib import import_module

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    name = "kaireon.outbox"
    label = "outbox"
    verbose_name = "Messages"

    def ready(self) -> None:
        import_module("kaireon.outbox.checks")  # registers the system checks
        import_module("kaireon.outbox.services")  # registers how messages are replayed
