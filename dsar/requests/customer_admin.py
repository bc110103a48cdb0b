"""The buttons of a customer's page that ask for what is known about them, or for their erasure."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.enums import ActionVariant

from customers.admin import CustomerAdmin
from customers.models import Customer
from kaireon.tenancy.admin_pages import verb
from kaireon.tenancy.roles import Permission

# Customers know nothing of requests, so their page gets its two buttons here.
admin.site.unregister(Customer)


@admin.register(Customer)
class CustomerWithRequestsAdmin(CustomerAdmin):
    actions_detail = ("ask_access", "ask_erasure")

    @verb(
        permission=Permission.MANAGE_DSAR,
        description="Access request",
        icon="folder_shared",
        url_path="access",
        variant=ActionVariant.PRIMARY,
    )
    def ask_access(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._form("access", self.row(request, object_id))

    @verb(permission=Permission.MANAGE_DSAR, description="Erasure request", icon="person_remove", url_path="erasure")
    def ask_erasure(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._form("erasure", self.row(request, object_id))

    def _form(self, verb_name: str, customer: Customer) -> HttpResponse:
        # By our own id: the customer's number has no place in addresses, which are logged everywhere.
        page = reverse(f"admin:dsar_dsarrequest_{verb_name}")
        return HttpResponseRedirect(f"{page}?customer={customer.pk}")
