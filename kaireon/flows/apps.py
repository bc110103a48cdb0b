from django.apps import AppConfig


class FlowsConfig(AppConfig):
    name = "kaireon.flows"
    label = "flows"
    verbose_name = "Pipelines"

    def ready(self) -> None:
        from kaireon.flows import execution  # noqa: F401  registers the job type
