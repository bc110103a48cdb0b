from importlib import import_module

from django.apps import AppConfig


class ComplianceConfig(AppConfig):
    name = "compliance"
    verbose_name = "Retention and holds"

    def ready(self) -> None:
        import_module("compliance.checks")
        import_module("compliance.alerting.figures")  # registers what rules can watch
        import_module("compliance.reporting.access")  # registers what can be reported
        import_module("compliance.reporting.audit_integrity")  # registers what can be reported
        import_module("compliance.reporting.holds")  # registers what can be reported
        import_module("compliance.reporting.retention")  # registers what can be reported
        import_module("compliance.reporting.soc2")  # registers what can be reported
        import_module("compliance.alerting.notifications")  # registers what is published
        import_module("compliance.holding.class_releases")  # registers what a second person is asked for
        import_module("compliance.holding.matters")  # registers what a second person is asked for
        import_module("compliance.retention.governed")  # registers what a second person is asked for
        import_module("compliance.drift.hold_templates")  # registers what can be declared
        import_module("compliance.drift.alert_rules")  # registers what can be declared
        import_module("compliance.drift.report_schedules")  # registers what can be declared
        import_module("compliance.drift.retention")  # registers what can be declared
        import_module("compliance.log")  # tells the audit log how long it is kept
        import_module("compliance.purging.plans")  # registers what a second person agrees to
        import_module("compliance.purging.jobs")  # registers the job that applies a plan
        import_module("compliance.reporting.figures")  # registers what rules can watch
        import_module("compliance.reporting.notices")  # registers what is published
        import_module("compliance.reporting.running")  # registers the job that makes a report
        files = import_module("compliance.reporting.files")
        keyring = import_module("kaireon.tenancy.keyring")
        keyring.WRAPPED_KEYS[files.KEYS.name] = files.KEYS
