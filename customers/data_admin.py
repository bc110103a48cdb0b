"""What the pages of rows about customers have in common."""

import unicodedata
from typing import Any, Generic, TypeVar

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from customers.catalogue import CATALOGUE
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, masked_value, since
from kaireon.tenancy.models import TenantModel
from kaireon.tenancy.roles import Permission

M = TypeVar("M", bound=TenantModel)

ERASED = "erased"

# The catalogue says what is personal and how it is masked; the customer's own number names them, too.
PERSONAL = {e.model: dict.fromkeys(e.personal) | dict(e.masks) for e in CATALOGUE}


class CustomerDataAdmin(TenantModelAdmin[M], Generic[M]):
    """Read-only rows about customers, found by the customer's number or our id of the row."""

    view_permission = Permission.READ_CUSTOMERS
    linked_by: tuple[str, ...] = ("customer",)
    list_select_related: Any = ("customer",)
    names_people = ("whose",)
    search_equal: tuple[str, ...] = ("customer__customer_id",)
    search_help_text = "Customer number"
    clock = ""

    def __init__(self, model: type[M], admin_site: Any) -> None:
        self.personal = PERSONAL.get(model._meta.label, {})
        self.ordering = (f"-{self.clock}",) if self.clock else ("pk",)
        if self.clock:
            label = str(model._meta.get_field(self.clock).verbose_name)  # type: ignore[union-attr]
            self.list_filter = (*self.list_filter, since(self.clock, label))
        super().__init__(model, admin_site)
        self._masked["whose"] = _whose_masked

    def normal(self, name: str, term: str) -> str:
        return unicodedata.normalize("NFC", term)

    def headline(self, row: Any) -> str:
        return capfirst(str(self.opts.verbose_name))

    def _takes(self, name: str, term: str) -> bool:
        return True

    @column("Customer")
    def whose(self, row: Any) -> str | SafeString:
        return _link(row, row.customer.customer_id) if row.customer_id else ERASED

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        left_out = {"id", "tenant", "name_key", "subject_key", "email_key", "file", "customer"}
        names = [f.name for f in self.model._meta.concrete_fields if f.name not in left_out]
        whose = ["whose"] if any(f.name == "customer" for f in self.model._meta.concrete_fields) else []
        return [(None, {"fields": self._shown(request, [*whose, *names])})]


@column("Customer")
def _whose_masked(row: Any) -> str | SafeString:
    return _link(row, masked_value(row.customer.customer_id)) if row.customer_id else ERASED


def _link(row: Any, text: str) -> SafeString:
    page = reverse("admin:customers_customer_change", args=[row.customer_id])
    return format_html('<a class="k-link" href="{}">{}</a>', page, text)
