from django.apps import AppConfig


class DsarConfig(AppConfig):
    name = "dsar"
    verbose_name = "Subject requests"

    def ready(self) -> None:
        from audit.restoring import gate
        from audit.tree import publication
        from customers.propensity import exclusions
        from dsar import checks, figures, tasks, withheld  # noqa: F401  registers checks, figures, job types and who listens
        from dsar.dossiers import rewrapping
        from dsar.journal import entries, outside, writing
        from dsar.reporting import document  # noqa: F401  registers the report of requests
        from kaireon.tenancy.keyring import WRAPPED_KEYS

        WRAPPED_KEYS[rewrapping.KEYS.name] = rewrapping.KEYS
        exclusions.OTHERS.append(withheld.OTHER)
        publication.COMPANIONS.append(writing.accompany)
        gate.LOOKS.append(gate.Look(folder=entries.folder, known=outside.last_known, lost=outside.lost_names))
