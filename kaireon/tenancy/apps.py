from importlib import import_module

from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "kaireon.tenancy"
    label = "tenancy"
    verbose_name = "Tenants and access"

    def ready(self) -> None:
        import_module("kaireon.tenancy.checks")  # registers the system checks
