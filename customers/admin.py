"""Customers and what is known about them: to be read. They change through the API, imports and subjects' requests."""

import unicodedata
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from audit import search
from customers import returns
from customers.catalogue import CATALOGUE
from customers.data_admin import PERSONAL, CustomerDataAdmin
from customers.engagement.admin import EngagementDayAdmin, EngagementHealthAdmin
from customers.models import (
    Attachment,
    AttributionResult,
    ConsentRecord,
    Customer,
    DecisionTrace,
    Delivery,
    DynamicRow,
    DynamicSchema,
    ErasedSubject,
    IdentityLink,
    ImportRun,
    Interaction,
    InteractionSummary,
    JourneyEnrollment,
    Suppression,
    SuppressionTombstone,
    VariantAssignment,
)
from customers.models.customer import normal_email, normal_name
from customers.propensity.admin import PropensityVersionAdmin, RetrainScheduleAdmin
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import (
    TenantModelAdmin,
    column,
    is_uuid,
    principal_of,
    since,
    verb,
)
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

# Django looks for pages here.
__all__ = ["EngagementDayAdmin", "EngagementHealthAdmin", "PropensityVersionAdmin", "RetrainScheduleAdmin"]


@admin.register(Customer)
class CustomerAdmin(TenantModelAdmin[Customer]):
    view_permission = Permission.READ_CUSTOMERS
    personal = PERSONAL["customers.Customer"] | {"customer_id": None}
    list_display = ("customer_id", "name", "email", "country", "language", "last_activity_at")
    list_filter = (since("last_activity_at", "last activity"), since("created_at", "creation"))
    search_equal = ("customer_id", "email", "name_key")
    search_prefix = ("customer_id", "email", "name_key")
    search_help_text = "Number, e-mail or name"
    ordering = ("-last_activity_at",)
    fieldsets = (
        ("Profile", {"fields": ("customer_id", "name", "email", "phone", "birth_date", "address")}),
        ("Settings", {"fields": ("country", "language", "attributes")}),
        ("Times", {"fields": ("last_activity_at", "created_at", "updated_at")}),
    )
    change_form_after_template = "admin/customers/known.html"
    when_empty = "They come with the API or with manage.py import_customers."

    def headline(self, row: Any) -> str:
        return "Customer"

    def normal(self, name: str, term: str) -> str:
        return {"email": normal_email, "name_key": normal_name}.get(name, str.strip)(term)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        customer = self.get_object(request, object_id) if object_id else None
        known = _known(customer) if customer is not None else []
        return super().changeform_view(request, object_id, form_url, {"known": known, **(extra_context or {})})


def rows_about(person: str) -> dict[str, list[str]]:
    """The rows about a customer, named by number, e-mail or our id, whose changes are recorded one by one."""
    named = Q(customer_id=unicodedata.normalize("NFC", person)) | Q(email=normal_email(person))
    rows: dict[str, list[str]] = {}
    if is_uuid(person):
        named |= Q(pk=person)
        # The record outlives the customer.
        rows["Customer"] = [person]
    for customer in Customer.objects.filter(named)[:2]:
        for entity in CATALOGUE:
            if entity.subject == "customer_id" and entity.model_class is not Interaction:
                ids = entity.about(customer.pk).values_list("pk", flat=True)[: search.MOST_IDS]
                rows.setdefault(entity.model_class.__name__, []).extend(map(str, ids))
        rows.setdefault("Customer", []).append(str(customer.pk))
    return rows


search.SUBJECT_FINDERS.append(rows_about)


def _known(customer: Customer) -> list[dict[str, Any]]:
    """How many rows of each kind there are about a customer, with the page that lists them."""
    rows = []
    for entity in CATALOGUE:
        model = entity.model_class
        if entity.subject != "customer_id" or model not in admin.site._registry:
            continue
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        count = entity.about(customer.pk).count()
        rows.append(
            {
                "title": str(model._meta.verbose_name_plural),
                "count": count,
                "url": f"{page}?customer={customer.pk}",
            }
        )
    return rows


@admin.register(Interaction)
class InteractionAdmin(CustomerDataAdmin[Interaction]):
    clock = "occurred_at"
    list_display = ("occurred_at", "whose", "kind", "channel", "offer", "quantity", "amount", "currency")
    list_filter = ("kind",)
    when_empty = "They come with the API or with manage.py import_customers."


@admin.register(InteractionSummary)
class InteractionSummaryAdmin(CustomerDataAdmin[InteractionSummary]):
    clock = "period_end"
    list_display = ("period_end", "whose", "kind", "channel", "interactions", "quantity", "amount", "currency")
    list_filter = ("kind",)


@admin.register(DecisionTrace)
class DecisionTraceAdmin(CustomerDataAdmin[DecisionTrace]):
    clock = "decided_at"
    list_display = ("decided_at", "whose", "decision", "channel", "outcome", "model_version")


@admin.register(AttributionResult)
class AttributionResultAdmin(CustomerDataAdmin[AttributionResult]):
    clock = "recorded_at"
    list_display = ("recorded_at", "whose", "method", "channel", "credit", "amount", "currency")


@admin.register(VariantAssignment)
class VariantAssignmentAdmin(CustomerDataAdmin[VariantAssignment]):
    clock = "recorded_at"
    list_display = ("recorded_at", "whose", "experiment", "variant")


@admin.register(JourneyEnrollment)
class JourneyEnrollmentAdmin(CustomerDataAdmin[JourneyEnrollment]):
    clock = "entered_at"
    list_display = ("entered_at", "whose", "journey", "step", "state", "ended_at")
    list_filter = ("state",)


@admin.register(Delivery)
class DeliveryAdmin(CustomerDataAdmin[Delivery]):
    clock = "sent_at"
    list_display = ("sent_at", "whose", "channel", "template", "destination", "status")
    list_filter = ("status",)


@admin.register(ConsentRecord)
class ConsentRecordAdmin(CustomerDataAdmin[ConsentRecord]):
    clock = "recorded_at"
    list_display = ("recorded_at", "whose", "channel", "purpose", "status", "withdrawn_at")
    list_filter = ("status",)


@admin.register(Suppression)
class SuppressionAdmin(CustomerDataAdmin[Suppression]):
    clock = "created_at"
    list_display = ("created_at", "whose", "channel", "reason", "expires_at")


@admin.register(SuppressionTombstone)
class SuppressionTombstoneAdmin(CustomerDataAdmin[SuppressionTombstone]):
    clock = "created_at"
    linked_by = ()
    list_select_related = False
    search_equal = ("channel",)
    search_help_text = "Channel"
    list_display = ("created_at", "id", "channel", "expires_at")
    when_empty = "An erasure leaves one for each suppression, so that it lasts."


class ReturnForm(forms.Form):
    customer_id = forms.CharField(
        label="Customer number", required=False, max_length=128, widget=UnfoldAdminTextInputWidget()
    )
    email = forms.EmailField(
        label="Or e-mail", required=False, widget=UnfoldAdminTextInputWidget(attrs={"type": "email"})
    )
    reason = forms.CharField(
        label="How they came back",
        max_length=returns.MOST_OF_A_REASON,
        help_text="Their own will, and how you know it: a new contract, a new account. It stands in the audit log.",
        widget=UnfoldAdminTextInputWidget(),
    )


@admin.register(ErasedSubject)
class ErasedSubjectAdmin(CustomerDataAdmin[ErasedSubject]):
    clock = "created_at"
    linked_by = ()
    list_select_related = False
    search_equal = ("released_by",)
    search_help_text = "Who let somebody in"
    list_display = ("created_at", "id", "released_at", "released_by_name", "reason")
    actions_list = ("let_in",)
    when_empty = "An erasure leaves a key of the person here, by which they are not taken in again unawares."

    @verb(
        permission=Permission.MANAGE_DSAR,
        description="Let somebody in again",
        icon="how_to_reg",
        url_path="let-in",
        variant=ActionVariant.PRIMARY,
    )
    def let_in(self, request: HttpRequest) -> HttpResponse:
        """By number or address, for nobody can tell from the list who it is."""

        def do(given: dict[str, Any]) -> HttpResponse:
            returns.let_in(
                customer_id=given["customer_id"],
                email=given["email"],
                reason=given["reason"],
                actor=principal_of(request).actor,
                now=clock.now(),
            )
            self.succeed(request, "They can be taken in again. Their opt-outs keep their effect.")
            return HttpResponseRedirect(self.url("changelist"))

        return self.ask(
            request,
            title="Let an erased person in again",
            lead="Who was erased is refused when a file or a system brings them again. When they came back by their own"
            " will, that ends here. What they opted out of stays so until they say otherwise.",
            form=ReturnForm(given_by(request)),
            do=do,
            refusals={returns.NobodyToLetIn: "", returns.NoReason: "The reason needs 1 to 500 printable characters."},
            submit="Let them in",
            cancel=self.url("changelist"),
        )


@admin.register(IdentityLink)
class IdentityLinkAdmin(CustomerDataAdmin[IdentityLink]):
    clock = "last_seen_at"
    list_display = ("last_seen_at", "whose", "kind", "value", "source")
    list_filter = ("kind",)


@admin.register(Attachment)
class AttachmentAdmin(CustomerDataAdmin[Attachment]):
    clock = "uploaded_at"
    list_display = ("uploaded_at", "whose", "name", "content_type", "size")


@admin.register(DynamicRow)
class DynamicRowAdmin(CustomerDataAdmin[DynamicRow]):
    clock = "clock_at"
    linked_by = ("customer", "schema")
    list_select_related = ("customer", "schema")
    list_display = ("clock_at", "whose", "schema", "row_key")


@admin.register(DynamicSchema)
class DynamicSchemaAdmin(TenantModelAdmin[DynamicSchema]):
    view_permission = Permission.READ_CUSTOMERS
    list_display = ("name", "label", "data_class", "clock_field", "columns", "created_at")
    search_equal = ("name", "data_class")
    ordering = ("name",)
    fieldsets = ((None, {"fields": ("name", "label", "data_class", "clock_field", "columns", "created_at")}),)

    @column("Columns")
    def columns(self, row: DynamicSchema) -> SafeString:
        return format_html_join(", ", "{} <small>{}</small>", ((f["name"], f.get("type", "text")) for f in row.fields))


@admin.register(ImportRun)
class ImportRunAdmin(TenantModelAdmin[ImportRun]):
    view_permission = Permission.READ_JOBS
    list_display = ("started_at", "kind", "format", "progress", "created", "updated", "unchanged", "rejected")
    list_filter = ("kind",)
    search_equal = ("fingerprint",)
    search_help_text = "SHA-256 of the file"
    ordering = ("-started_at",)
    fieldsets = (
        (None, {"fields": ("kind", "format", "fingerprint", "size", "progress")}),
        ("Rows", {"fields": ("line", "created", "updated", "unchanged", "rejected")}),
        ("Times", {"fields": ("started_at", "updated_at", "finished_at")}),
    )
    when_empty = "manage.py import_customers FILE --tenant … makes one."

    @column("Progress")
    def progress(self, row: ImportRun) -> str:
        return "done" if row.finished_at else f"{100 * row.offset // row.size if row.size else 0} %"
