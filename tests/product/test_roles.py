"""The role table: complete, used, and the same in words everywhere."""

import re

from django.conf import settings

from kaireon.tenancy.roles import PERMISSIONS, Permission, Role, may, permissions_of


def test_every_role_has_permissions_and_every_permission_a_role() -> None:
    assert set(PERMISSIONS) == set(Role)
    assert all(PERMISSIONS.values())
    assert set().union(*PERMISSIONS.values()) == set(Permission)


def test_every_permission_is_asked_for_somewhere() -> None:
    sources = "\n".join(
        path.read_text()
        for folder in ("audit", "compliance", "cron", "customers", "dsar", "kaireon")
        for path in (settings.BASE_DIR / folder).rglob("*.py")
        if path.name != "roles.py"
    )
    asked = set(re.findall(r"Permission\.([A-Z_]+)", sources))
    assert {p for p in Permission if p.name not in asked} == set()


def test_an_auditor_reads_verifies_and_exports_the_log_and_nothing_else() -> None:
    assert PERMISSIONS[Role.AUDITOR] == {Permission.READ_AUDIT, Permission.EXPORT_AUDIT}


def test_a_viewer_reads_nothing_personal_and_an_editor_only_adds_writes() -> None:
    assert Permission.READ_PERSONAL not in PERMISSIONS[Role.VIEWER] | PERMISSIONS[Role.EDITOR]
    assert PERMISSIONS[Role.EDITOR] - PERMISSIONS[Role.VIEWER] == {Permission.INGEST}


def test_an_admin_may_everything_in_their_tenant() -> None:
    assert PERMISSIONS[Role.ADMIN] == set(Permission)


def test_scopes_narrow_and_never_widen() -> None:
    assert permissions_of(Role.VIEWER, ["manage_keys"]) == frozenset()
    assert permissions_of(Role.ADMIN, ["manage_keys"]) == {Permission.MANAGE_KEYS}
    assert permissions_of(Role.VIEWER, []) == PERMISSIONS[Role.VIEWER]
    assert not may(Role.VIEWER, Permission.MANAGE_KEYS)
