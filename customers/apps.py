from django.apps import AppConfig


class CustomersConfig(AppConfig):
    name = "customers"
    verbose_name = "Customers"

    def ready(self) -> None:
        from customers import flow_nodes  # noqa: F401  registers the nodes
        from customers.propensity import training  # noqa: F401  registers the job that trains
