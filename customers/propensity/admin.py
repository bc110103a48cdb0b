"""Models of acceptance in the admin: when each is trained, what came of it, the versions, and going back to one."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.enums import ActionVariant

from customers.models import PropensityVersion, RetrainRun, RetrainSchedule
from customers.models.propensity import RetrainState
from customers.propensity import by_hand, schedules, versions
from customers.propensity.forms import NewForm, ReasonForm, TermsForm
from kaireon.jobs import services as jobs
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, principal_of, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

# Of a schedule's retrains the page shows so many; the audit log has all.
SHOWN = 30
TERMS = tuple(TermsForm.base_fields)
STATES = {
    "Served": "success",
    "Served, stale": "warning",
    "Stale": "",
    "Candidate": "",
    "Refused": "danger",
    "Stale too long": "danger",
}
REFUSALS: dict[type[Exception], str] = {
    schedules.ScheduleRefused: "",
    by_hand.UnderWay: "A retrain of this offer is under way already.",
    versions.NoReason: "",
    versions.VersionGone: "A newer version came meanwhile, and this one was dropped.",
    versions.AlreadyServed: "This version is the one that is served.",
    versions.StaleTooLong: "Somebody was erased 30 days ago who may be in it: it serves no more. Train a new one.",
    versions.BytesRefused: "Its bytes are not those that were written: it cannot be served. Train a new one.",
}


@admin.register(RetrainSchedule)
class RetrainScheduleAdmin(TenantModelAdmin[RetrainSchedule]):
    view_permission = Permission.READ_JOBS
    list_display = ("offer", "state", "served_version", "last", "attempted_at", "every_days")
    search_equal = ("offer",)
    search_help_text = "Id, offer"
    ordering = ("offer",)
    fieldsets = (
        (None, {"fields": ("state", "served_version", "served_at", "served_by_name", "served_reason", "attempted_at")}),
        ("Terms", {"fields": ("every_days", "window_days", "min_interactions", "min_positives", "tolerance", "keep")}),
    )
    actions_list = ("begin",)
    actions_detail = ("alter", "train")
    when_empty = "A schedule says when the model of an offer is trained anew. Make one to begin."
    change_form_after_template = "admin/customers/retrains.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[RetrainSchedule]:
        found: QuerySet[RetrainSchedule] = super().get_queryset(request)
        return found.select_related("served")

    def headline(self, row: RetrainSchedule) -> str:
        return row.offer

    @column("State", label={"On": "success", "Off": ""})
    def state(self, row: RetrainSchedule) -> str:
        return "On" if row.is_enabled else "Off"

    @column("Served version")
    def served_version(self, row: RetrainSchedule) -> str:
        if row.served is None:
            return "none yet"
        why = versions.why_replace(row.served)
        if why == versions.STALE:
            why = _staleness(row.served)
        return f"{row.served.number} ({why})" if why else str(row.served.number)

    @column("Last retrain")
    def last(self, row: RetrainSchedule) -> str:
        run = RetrainRun.objects.filter(schedule=row).newest_first().first()
        return _told(run) if run else "none yet"

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        row = self.get_object(request, object_id) if object_id else None
        if row is not None:
            runs = list(RetrainRun.objects.filter(schedule=row).newest_first()[:SHOWN])
            kept = list(PropensityVersion.objects.filter(schedule=row).newest_first())
            shown = {"runs": runs, "versions": kept, "due": schedules.due(row, now=clock.now())}
            is_over = row.served is not None and versions.is_over(row.served, now=clock.now())
            shown["serving"] = None if is_over else row.served_id
            extra_context = {**(extra_context or {}), **shown}
        return super().changeform_view(request, object_id, form_url, extra_context)

    @verb(
        permission=Permission.MANAGE_MODELS,
        description="New schedule",
        icon="model_training",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def begin(self, request: HttpRequest) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            terms = {name: given[name] for name in TERMS}
            row = schedules.create(offer=given["offer"], given=terms, now=clock.now())
            self.succeed(request, "The schedule is made. Its model is trained with the next night's retrains.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title="New retrain schedule",
            lead="The offer, how often its model is trained, and when a new version is served.",
            form=NewForm(given_by(request)),
            do=do,
            refusals=REFUSALS,
            submit="Make the schedule",
            cancel=self.url("changelist"),
        )

    @verb(permission=Permission.MANAGE_MODELS, description="Change", icon="edit", url_path="alter")
    def alter(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            schedules.change(row, given=given)
            self.succeed(request, "The schedule is changed.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Change the retrains of {row.offer}",
            lead="What is served stays. Switched off, it is not trained by the schedule any more.",
            form=TermsForm(given_by(request), initial={name: getattr(row, name) for name in TERMS}),
            do=do,
            refusals=REFUSALS,
            submit="Save",
            cancel=self.url("change", row.pk),
        )

    @verb(
        permission=Permission.MANAGE_MODELS,
        description="Train now",
        icon="play_arrow",
        url_path="train",
        variant=ActionVariant.PRIMARY,
    )
    def train(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            job = by_hand.ask(row, now=clock.now())
            self.after_commit(request, lambda: jobs.wake(job))
            return "The retrain is queued. Its outcome appears here."

        return self.confirm(
            request,
            row,
            do,
            title=f"Train the model of {row.offer} now",
            lead="Due or not. What is served stays until a version that is not worse is there.",
            refusals=REFUSALS,
            submit="Train it",
        )


@admin.register(PropensityVersion)
class PropensityVersionAdmin(TenantModelAdmin[PropensityVersion]):
    view_permission = Permission.READ_JOBS
    list_display = ("trained_at", "offer", "number", "state", "area", "loss", "accepted", "train_rows")
    linked_by = ("schedule",)
    search_help_text = "Id"
    ordering = ("-trained_at",)
    fieldsets = (
        (None, {"fields": ("offer", "number", "state", "verdict", "trained_at", "as_of", "sha256")}),
        (
            "On later examples",
            {"fields": ("area", "loss", "score", "distance", "accepted", "test_rows", "test_positives")},
        ),
        ("Learnt", {"fields": ("train_rows", "train_positives", "people")}),
    )
    actions_detail = ("serve",)
    when_empty = "Versions appear here when a schedule's model was trained."
    change_form_after_template = "admin/customers/model.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PropensityVersion]:
        found: QuerySet[PropensityVersion] = super().get_queryset(request)
        return found.select_related("schedule")

    def headline(self, row: PropensityVersion) -> str:
        return f"{row.schedule.offer}, version {row.number}"

    @column("Offer")
    def offer(self, row: PropensityVersion) -> str:
        return row.schedule.offer

    @column("State", label=STATES)
    def state(self, row: PropensityVersion) -> str:
        why = versions.why_replace(row)
        is_served = row.schedule.served_id == row.pk
        if why == versions.STALE and versions.is_over(row, now=clock.now()):
            return "Stale too long"
        if why:
            return "Refused" if why != versions.STALE else "Served, stale" if is_served else "Stale"
        return "Served" if is_served else "Candidate"

    @column("AUC", ordering="auc")
    def area(self, row: PropensityVersion) -> str:
        return f"{row.auc:.3f}"

    @column("Log loss", ordering="log_loss")
    def loss(self, row: PropensityVersion) -> str:
        return f"{row.log_loss:.4f} (saying the same of everybody: {row.base_log_loss:.4f})"

    @column("Brier score", ordering="brier")
    def score(self, row: PropensityVersion) -> str:
        return f"{row.brier:.4f}"

    @column("Calibration error", ordering="calibration_error")
    def distance(self, row: PropensityVersion) -> str:
        return f"{row.calibration_error:.4f}"

    @column("Accepted", ordering="base_rate")
    def accepted(self, row: PropensityVersion) -> str:
        return f"{100 * row.base_rate:.1f} %"

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        row = self.get_object(request, object_id) if object_id else None
        if row is not None:
            lineage = {name: row.lineage.get(name) for name in sorted(row.lineage) if name != "features"}
            shown = {"calibration": row.calibration, "lineage": lineage, "names": row.lineage.get("features", [])}
            extra_context = {**(extra_context or {}), **shown}
        return super().changeform_view(request, object_id, form_url, extra_context)

    @verb(permission=Permission.MANAGE_MODELS, description="Serve this version", icon="undo", url_path="serve")
    def serve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        stale = f" This one is {_staleness(row)}." if versions.is_stale(row) else ""

        def do(given: dict[str, Any]) -> HttpResponse:
            actor = principal_of(request).actor
            versions.serve(version=row, reason=given["reason"], actor=actor, now=clock.now())
            self.succeed(request, f"Version {row.number} is served from now on.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Serve version {row.number} of {row.schedule.offer}",
            lead="From now on decisions go by it, until a later retrain is not worse. That, who and why are recorded."
            + stale,
            form=ReasonForm(given_by(request)),
            do=do,
            refusals=REFUSALS,
            submit="Serve it",
            cancel=self.url("change", row.pk),
        )


def _staleness(version: PropensityVersion) -> str:
    """In words, of one that is stale."""
    since, until = versions.stale_since(version), versions.serves_until(version)
    assert since is not None and until is not None  # noqa: S101, PT018 - the caller looked
    if until <= clock.now():
        return f"stale since {since.date()}, somebody was erased then: it serves no more"
    return (
        f"stale since {since.date()}, somebody was erased then: trained anew every night, and served until"
        f" {until.date()} at most"
    )


def _told(run: RetrainRun) -> str:
    if run.state in (RetrainState.NOT_TRAINED, RetrainState.FAILED):
        return run.reason
    said = str(run.get_state_display())
    return f"{said} (version {run.version_number})" if run.version_number else said
