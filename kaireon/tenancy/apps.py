from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "kaireon.tenancy"
    label = "tenancy"
    verbose_name = "Tenants and access"

    def ready(self) -> None:
        from kaireon.tenancy import checks  # noqa: F401  registers the system checks
