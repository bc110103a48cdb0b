from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "kaireon.jobs"
    label = "jobs"
    verbose_name = "Background jobs"
