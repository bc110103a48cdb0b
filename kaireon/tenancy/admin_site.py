"""The admin site and the base of its pages: role permissions of the chosen tenant, audited by triggers alone."""

from typing import Any, ClassVar, Generic, TypeVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path, reverse
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

from kaireon.tenancy.middleware import switch_tenant
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import Permission

M = TypeVar("M", bound=Model)


def principal_of(request: HttpRequest) -> Principal:
    """Who asks, in the chosen tenant. Raises PermissionDenied for an account without membership."""
    principal: Principal | None = getattr(request, "principal", None)
    if principal is None:
        raise PermissionDenied("This account is a member of no tenant.")
    return principal


class KaireonAdminSite(UnfoldAdminSite):  # type: ignore[misc]
    """Open to active members of the chosen tenant; what each page allows is in the role table."""

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and getattr(request, "principal", None) is not None

    def get_urls(self) -> list[URLResolver | URLPattern]:
        return [path("switch-tenant/", self.admin_view(switch_tenant), name="switch_tenant"), *super().get_urls()]


class TenantModelAdmin(ModelAdmin, Generic[M]):  # type: ignore[misc]
    """A page on one tenant's rows. Without `change_permission` nothing can be added, changed or deleted."""

    view_permission: ClassVar[Permission] = Permission.READ_TENANT
    change_permission: ClassVar[Permission | None] = None
    can_add: ClassVar[bool] = False
    can_delete: ClassVar[bool] = False

    list_per_page = 50
    show_full_result_count = True
    compressed_fields = True
    warn_unsaved_form = True

    def _may(self, request: HttpRequest, permission: Permission | None) -> bool:
        principal: Principal | None = getattr(request, "principal", None)
        return principal is not None and permission is not None and permission in principal.permissions

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.view_permission)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.change_permission)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_add and self._may(request, self.change_permission)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_delete and self._may(request, self.change_permission)

    # Django's own log keeps names without a tenant; the triggers record every change instead.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        return None

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:audit_auditrecord_changelist')}?q={object_id}")

    def after_commit(self, request: HttpRequest, call: Any) -> None:
        """Run `call` when the page's transaction has been committed."""
        request.__dict__.setdefault("after_commit", []).append(call)

    def succeed(self, request: HttpRequest, text: str) -> None:
        self.message_user(request, text, messages.SUCCESS)
