"""The base of every admin page: role permissions of the chosen tenant, masks, bounded lists, buttons of verbs."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.contrib.admin import ShowFacets, SimpleListFilter
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.views.main import ERROR_FLAG, SEARCH_VAR
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.text import capfirst
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from kaireon.lib import clock
from kaireon.lib.masking import mask
from kaireon.tenancy import signals
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import VerbPages

M = TypeVar("M", bound=Model)
C = TypeVar("C", bound=Callable[..., Any])
F = TypeVar("F", bound=Callable[..., HttpResponseBase])

READ_METHODS = ("GET", "HEAD", "OPTIONS")


def principal_of(request: HttpRequest) -> Principal:
    """Who asks, in the chosen tenant. Raises PermissionDenied for an account without membership."""
    principal: Principal | None = getattr(request, "principal", None)
    if principal is None:
        raise PermissionDenied("This account is a member of no tenant.")
    return principal


def may(request: HttpRequest, permission: Permission | None) -> bool:
    principal: Principal | None = getattr(request, "principal", None)
    return principal is not None and permission is not None and permission in principal.permissions


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts to 10,000 and no further: the list of a large table opens at once. Filters and search reach the rest."""

    most = 10_000

    @cached_property
    def count(self) -> int:
        # One more than can be paged through says "more than".
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[: self.most + 1].count()

    @property
    def is_cut(self) -> bool:
        return self.count > self.most


def masked_value(value: Any, as_format: str | None = None) -> str:
    """What somebody without READ_PERSONAL sees of a personal value."""
    if value in (None, "", {}, []):
        return ""
    if isinstance(value, dict | list):
        return "***"
    return mask(str(value), as_format=as_format)


def column(
    description: str, *, ordering: str | None = None, label: bool | dict[str, str] | None = None
) -> Callable[[C], C]:
    """A method that is shown as a column or a field; `label` colours its values."""

    def decorate(method: C) -> C:
        shown: C = display(method, description=description, ordering=ordering, label=label)
        return shown

    return decorate


def verb(
    *,
    permission: Permission,
    description: str,
    icon: str,
    url_path: str,
    variant: ActionVariant = ActionVariant.DEFAULT,
) -> Callable[[F], F]:
    """A button of a page, shown to and accepted from those alone whose role has `permission`."""

    def decorate(view: F) -> F:
        @wraps(view)
        def guarded(self: "TenantModelAdmin[Any]", request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not may(request, permission):
                raise PermissionDenied
            return view(self, request, *args, **kwargs)

        button: F = action(description=description, icon=icon, url_path=url_path, variant=variant)(guarded)
        button.permission = permission  # type: ignore[attr-defined]
        return button

    return decorate


class TenantModelAdmin(VerbPages[M]):
    """A page on one tenant's rows. It lists and shows; rows change through verbs only, each one call of a service.

    `personal` columns are masked without READ_PERSONAL, with the format given; that a page showed them to somebody who
    has it is recorded. `search_equal` are normalised columns
    that search compares by equality, `search_prefix` those it may also compare by their beginning.
    """

    view_permission: ClassVar[Permission] = Permission.READ_TENANT
    personal: dict[str, str | None] = {}
    # Columns of this page alone that say who somebody is.
    names_people: tuple[str, ...] = ()
    search_equal: tuple[str, ...] = ()
    search_prefix: tuple[str, ...] = ()
    linked_by: tuple[str, ...] = ()
    when_empty: str = "They appear here as soon as there are some."

    list_per_page = 50
    list_max_show_all = 50
    list_filter: Any = ()
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = BoundedPaginator
    compressed_fields = True
    actions: Any = ()
    request: HttpRequest

    def __init__(self, model: type[M], admin_site: Any) -> None:
        super().__init__(model, admin_site)
        self._masked = {name: _masked_column(model, name, fmt) for name, fmt in self.personal.items()}

    # -- who may ------------------------------------------------------------------------------------------------------

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, self.view_permission)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def _filter_unfold_actions_by_permissions(
        self, request: HttpRequest, actions: list[Any], object_id: Any = None
    ) -> list[Any]:
        return [a for a in actions if may(request, a.method.permission)]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> M | None:
        """A page that only shows has its row of one moment: its buttons fit the state that it says."""
        if request.method not in READ_METHODS:
            found: M | None = super().get_object(request, object_id, from_field)
            return found
        read: dict[Any, M | None] = vars(request).setdefault("k_rows", {})
        key = (self.model, object_id, from_field)
        if key not in read:
            read[key] = super().get_object(request, object_id, from_field)
        return read[key]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Django lets a visitor ask any column, which would make a masked value guessable letter by letter."""
        offered = {getattr(f, "parameter_name", f) for f in self.list_filter} | set(self.linked_by)
        return lookup.split("__", maxsplit=1)[0] in offered - set(self.personal)

    # -- lists --------------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method not in READ_METHODS:
            return HttpResponseNotAllowed(READ_METHODS)
        if any("\x00" in value for name, values in request.GET.lists() if name != SEARCH_VAR for value in values):
            # As Django does with a filter that cannot be; the database would fail over this one.
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")
        response: HttpResponse = super().changelist_view(request, extra_context)
        shown = getattr(response, "context_data", {}).get("cl")
        if response.status_code == 200 and shown is not None:
            self.note_personal(request, self.get_list_display(request), [row.pk for row in shown.result_list])
        return response

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        response = super().changeform_view(request, object_id, form_url, extra_context)
        if response.status_code == 200 and object_id:
            sets = self.get_fieldsets(request)
            self.note_personal(request, flatten_fieldsets(sets), [object_id])
        return response

    def note_personal(self, request: HttpRequest, names: Sequence[Any], ids: Sequence[object]) -> None:
        """Say that a page shows personal columns of these rows in the clear, when it does."""
        seen = [name for name in self.shows_personal(names) if may(request, Permission.READ_PERSONAL)]
        if seen and ids:
            signals.personal_viewed.send(sender=type(self), model=self.model, ids=[str(i) for i in ids], fields=seen)

    def shows_personal(self, names: Sequence[Any]) -> list[str]:
        """The personal columns among what a page shows."""
        return [name for name in names if name in self.personal or name in self.names_people]

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        return (*self.search_equal, *self.search_prefix)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Equality first, which finds an index under row-level security; then beginnings, for those who see values."""
        term = search_term.replace("\x00", "").strip()
        if not term:
            return queryset, False
        exact = queryset.filter(self.equal_to(term))
        if not self.search_prefix or not may(request, Permission.READ_PERSONAL) or exact.exists():
            return exact, False
        beginning = Q()
        for name in self.search_prefix:
            beginning |= Q(**{f"{name}__startswith": self.normal(name, term)})
        return queryset.filter(beginning), False

    def equal_to(self, term: str) -> Q:
        found = Q(pk=UUID(term)) if is_uuid(term) else Q(pk=None)
        for name in self.search_equal:
            if self._takes(name, term):
                found |= Q(**{name: self.normal(name, term)})
        return found

    def normal(self, name: str, term: str) -> str:
        """The spelling in which a column is stored."""
        return term

    def _takes(self, name: str, term: str) -> bool:
        kind = self.model._meta.get_field(name).get_internal_type()
        return is_uuid(term) if kind in ("UUIDField", "ForeignKey") else True

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return self._shown(request, super().get_list_display(request))

    # -- forms --------------------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [
            (title, {**options, "fields": self._shown(request, options["fields"])})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self._shown(request, super().get_readonly_fields(request, obj))

    def _shown(self, request: HttpRequest, names: Sequence[Any]) -> list[Any]:
        if may(request, Permission.READ_PERSONAL):
            return list(names)
        return [
            tuple(self._shown(request, name)) if isinstance(name, tuple | list) else self._masked.get(name, name)
            for name in names
        ]

    def headline(self, row: Any) -> str:
        """What a row is called at the top of its page. Nothing personal: it is in the history of every browser."""
        return capfirst(str(row))

    # Django's own log keeps names without a tenant; the triggers record every change instead.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        return None

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What happened to a row is in the audit log, for those who may read that."""
        if not may(request, Permission.READ_AUDIT):
            raise PermissionDenied
        return HttpResponseRedirect(f"{reverse('admin:audit_auditrecord_changelist')}?q={object_id}")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["show_history"] = may(request, Permission.READ_AUDIT)
        context["headline"] = self.headline(context["original"])
        return super().render_change_form(request, context, *args, **kwargs)


def since(moment: str, title: str) -> type[SimpleListFilter]:
    """A filter on how long ago something was, which an index on the column answers."""
    spans = {"1": "Last 24 hours", "7": "Last 7 days", "30": "Last 30 days", "365": "Last 12 months"}

    class Since(SimpleListFilter):
        parameter_name = f"{moment}_days"

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return list(spans.items())

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
            if self.value() not in spans:
                return None
            return queryset.filter(**{f"{moment}__gte": clock.now() - timedelta(days=int(str(self.value())))})

    Since.title = title
    return Since


def _masked_column(model: type[Model], name: str, as_format: str | None) -> Callable[[Any], str]:
    def masked(row: Any) -> str:
        return masked_value(getattr(row, name), as_format)

    masked.__name__ = name
    field = next((f for f in model._meta.get_fields() if f.name == name), None)
    masked.short_description = capfirst(getattr(field, "verbose_name", name.replace("_", " ")))  # type: ignore[attr-defined]
    return masked


def is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
