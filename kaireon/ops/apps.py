import gc
from importlib import import_module

from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "kaireon.ops"
    verbose_name = "Operations"

    def ready(self) -> None:
        import_module("kaireon.ops.checks")  # registers the system checks
        # The last of all apps: what is there now stays for good, and is never looked through again.
        gc.freeze()
        gc.enable()
