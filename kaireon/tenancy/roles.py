"""Who may do what: the one table. No role crosses tenants, superusers included."""

from enum import StrEnum

from django.db import models


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    EDITOR = "editor", "Editor"
    AUDITOR = "auditor", "Auditor"
    ADMIN = "admin", "Admin"


class Permission(StrEnum):
    READ_TENANT = "read_tenant"  # names, schedules, counts: nothing personal
    READ_CUSTOMERS = "read_customers"  # with personal values masked
    READ_PERSONAL = "read_personal"  # in the clear
    INGEST = "ingest"
    READ_AUDIT = "read_audit"
    EXPORT_AUDIT = "export_audit"
    READ_DSAR = "read_dsar"
    MANAGE_DSAR = "manage_dsar"
    READ_RETENTION = "read_retention"
    MANAGE_RETENTION = "manage_retention"
    MANAGE_KEYS = "manage_keys"
    MANAGE_MEMBERS = "manage_members"
    READ_APPROVALS = "read_approvals"
    DECIDE_APPROVALS = "decide_approvals"  # what is asked of them in a stage; never their own requests
    HANDLE_SIGNALS = "handle_signals"  # what the scan of the log found: see it, acknowledge it
    READ_JOBS = "read_jobs"
    RUN_JOBS = "run_jobs"
    MANAGE_PIPELINES = "manage_pipelines"
    READ_ALERTS = "read_alerts"
    MANAGE_MODELS = "manage_models"  # when models are trained, and which version is served
    MANAGE_ALERTS = "manage_alerts"  # rules, and who is told
    READ_REPORTS = "read_reports"  # those whose facts somebody may read
    MANAGE_REPORTS = "manage_reports"  # schedules, and who is told


_VIEWER = frozenset({Permission.READ_TENANT, Permission.READ_CUSTOMERS, Permission.READ_JOBS})

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.EDITOR: _VIEWER | {Permission.INGEST},
    Role.AUDITOR: frozenset({Permission.READ_AUDIT, Permission.EXPORT_AUDIT}),
    Role.ADMIN: frozenset(Permission),
}


def permissions_of(role: str, scopes: list[str] | None = None) -> frozenset[Permission]:
    """What a role may do, narrowed by an API key's scopes when it has any."""
    allowed = PERMISSIONS[Role(role)]
    return frozenset(p for p in allowed if p in scopes) if scopes else allowed


def may(role: str, permission: Permission) -> bool:
    return permission in PERMISSIONS[Role(role)]
