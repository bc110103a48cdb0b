"""Who may change in the admin what concerns every tenant: the admins of OPERATOR_TENANT, or of the only tenant."""

from django.conf import settings
from django.http import HttpRequest

from kaireon.tenancy.admin_pages import may, principal_of
from kaireon.tenancy.roles import Permission


def operates(request: HttpRequest) -> bool:
    """Whether the request comes from one of them, with that tenant chosen. Unset, nobody does."""
    if not may(request, Permission.RUN_JOBS):
        return False
    if settings.SINGLE_TENANT_MODE:
        return True
    return bool(settings.OPERATOR_TENANT) and principal_of(request).tenant_id == settings.OPERATOR_TENANT
