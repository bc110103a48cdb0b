"""Templates of holds in the admin: what each would keep, and placing a hold by it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from compliance.holding import templates, words
from compliance.holding.matters import ScopeRefused
from compliance.holding.scope_form import ScopeForm, conditions_of
from compliance.models import Hold, HoldTemplate
from compliance.models.matter import NO_NAMES
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, verb
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission

REFUSALS: dict[type[Exception], str] = {
    ScopeRefused: "",
    templates.TemplateNotFound: "The template was removed meanwhile.",
}


class TemplateForm(ScopeForm):
    name = forms.CharField(
        max_length=templates.LONGEST["name"], help_text=NO_NAMES, widget=UnfoldAdminTextInputWidget()
    )
    about = forms.CharField(
        required=False,
        max_length=templates.LONGEST["about"],
        help_text=f"When it is the right one. {NO_NAMES}",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    lookBackDays = forms.IntegerField(
        label="Days back",
        required=False,
        min_value=1,
        max_value=templates.MOST_DAYS,
        help_text="Records of so many days before the hold is placed, and later ones. Empty: all there is.",
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    field_order = ("name", "about", "dataClass", "entity", "lookBackDays")

    def fields_given(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {name: self.query() if name == "query" else given[wire] for name, wire in templates.FIELDS.items()}


@admin.register(HoldTemplate)
class HoldTemplateAdmin(TenantModelAdmin[HoldTemplate]):
    view_permission = Permission.READ_RETENTION
    list_display = ("name", "covers", "about")
    search_equal = ("name",)
    search_help_text = "Name"
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("covers", "about")}),
        ("Times", {"fields": ("created_at", "updated_at")}),
    )
    actions_list = ("begin",)
    actions_detail = ("place", "alter", "remove")
    when_empty = "Agree beforehand on what a hold has to keep in a case of a kind: placing one is fast then."

    def headline(self, row: HoldTemplate) -> str:
        return row.name

    @column("Keeps")
    def covers(self, row: HoldTemplate) -> str:
        scope = words.scope(Hold(data_class=row.data_class, entity=row.entity, query=row.query), 0)
        return f"{scope}, of the last {row.look_back_days:,} days" if row.look_back_days else scope

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="Place a hold by it",
        icon="lock",
        url_path="place",
        variant=ActionVariant.PRIMARY,
    )
    def place(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        return HttpResponseRedirect(f"{reverse('admin:compliance_hold_place')}?template={row.pk}")

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="New template",
        icon="add",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def begin(self, request: HttpRequest) -> HttpResponse:
        return self._edit(request, None)

    @verb(permission=Permission.MANAGE_RETENTION, description="Change", icon="edit", url_path="alter")
    def alter(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._edit(request, self.row(request, object_id))

    def _edit(self, request: HttpRequest, row: HoldTemplate | None) -> HttpResponse:
        step = request.POST.get("step", "")
        if request.method == "POST" and step != "columns":
            form = TemplateForm(request.POST)
            if form.is_valid() and (saved := self._saved(form, row)):
                self.succeed(request, "The template is saved. Holds that were placed before stay as they are.")
                return HttpResponseRedirect(self.url("change", saved.pk))
        else:
            # What was filled in so far, of which nothing is judged yet.
            initial = request.POST.dict() if request.method == "POST" else _initial(row)
            form = TemplateForm(initial=initial, more_rows=step == "columns")
        title = f"Change {row.name}" if row else "New hold template"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "headline": title,
            "form": form,
            "cancel": self.url("change", row.pk) if row else self.url("changelist"),
        }
        return TemplateResponse(request, "admin/compliance/hold_template.html", context)

    def _saved(self, form: TemplateForm, row: HoldTemplate | None) -> HoldTemplate | None:
        name, given, now = form.cleaned_data["name"], form.fields_given(), clock.now()
        try:
            with transaction():
                if row is None:
                    return templates.create(name=name, given=given, now=now)
                return templates.change(row.pk, name=name, given=given, now=now)
        except ScopeRefused as refusal:
            form.refuse(refusal)
        except templates.TemplateNotFound as refusal:
            form.add_error(None, REFUSALS[type(refusal)])
        return None

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="Remove",
        icon="delete",
        url_path="remove",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            templates.remove(row.pk)
            return "The template is removed."

        return self.confirm(
            request,
            row,
            do,
            title=f"Remove {row.name}",
            lead="Holds that were placed by it go on holding.",
            refusals=REFUSALS,
            submit="Remove the template",
            danger=True,
            to_list=True,
        )


def _initial(row: HoldTemplate | None) -> dict[str, Any]:
    if row is None:
        return {}
    said = {wire: getattr(row, name) for name, wire in templates.FIELDS.items() if name != "query"}
    return {**said, "name": row.name, **conditions_of(row.query)}
