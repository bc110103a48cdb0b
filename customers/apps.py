from importlib import import_module

from django.apps import AppConfig


class CustomersConfig(AppConfig):
    name = "customers"
    verbose_name = "Customers"

    def ready(self) -> None:
        import_module("customers.checks")  # registers the system checks
        import_module("customers.flow_nodes")  # registers the nodes
        import_module("customers.propensity.training")  # registers the job that trains
