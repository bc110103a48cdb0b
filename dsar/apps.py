from django.apps import AppConfig


class DsarConfig(AppConfig):
    name = "dsar"
    verbose_name = "Subject requests"

    def ready(self) -> None:
        from audit.tree import publication
        from dsar import checks, tasks  # noqa: F401  registers the checks, the job types and who listens to moves
        from dsar.dossiers import rewrapping
        from dsar.journal import writing
        from kaireon.tenancy.keyring import WRAPPED_KEYS

        WRAPPED_KEYS[rewrapping.KEYS.name] = rewrapping.KEYS
        publication.COMPANIONS.append(writing.accompany)
