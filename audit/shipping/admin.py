"""A tenant's own SIEMs in the admin: made, changed, tried, paused, and how far each is behind."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from audit.models import SiemBackend, SiemDestination
from audit.shipping import again, destinations, lag, trying
from audit.shipping.destinations import LEAST_EVENT_BYTES, MOST_EVENT_BYTES, DestinationRefused
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

STATES = {"Up to date": "success", "Behind": "warning", "Failing": "danger", "Paused": "info"}
NOTHING = "-"

_GIVEN = ("name", "backend", "endpoint", "index", "sourcetype", "event_bytes", "is_gzipped", "search_endpoint")

# What to do about a code; of others the code says it.
REMEDIES = {
    "unauthorized": "The key was refused: change it.",
    "not_found": "There is no such index, or the endpoint is not that of the API.",
    "index_refused": "The token may not write to this index.",
    "answer_not_understood": "Who answers is not the API: a proxy, or a page to sign in.",
    "address_refused": "The endpoint is not of the public internet, and ALLOW_PRIVATE_DESTINATIONS is off.",
    "name_not_resolved": "The endpoint's name is not known.",
    "connection_failed": "Nobody listens there, or a firewall is between.",
    "certificate_refused": "The endpoint's certificate is not trusted.",
    "timeout": "The endpoint did not answer in time.",
    "throttled": "It takes no more for now, and is tried again.",
    "not_acknowledged": "It took events and did not confirm that they are indexed; they are sent again.",
    "redirect_refused": "The endpoint answers with another address: name that one.",
    "records_missing": "Records are missing in the log: verify it.",
    "left_alone": "It failed several times in a row and is left alone for a minute.",
    "credentials_cannot_be_opened": "The master key that sealed its credentials is gone: give them again.",
}


class DestinationForm(forms.Form):
    name = forms.CharField(max_length=64, widget=UnfoldAdminTextInputWidget())
    backend = forms.ChoiceField(choices=SiemBackend.choices, widget=UnfoldAdminSelectWidget())
    endpoint = forms.CharField(
        max_length=500,
        help_text="Splunk: https://splunk.example.com:8088, Datadog: https://http-intake.logs.datadoghq.com,"
        " Elasticsearch: its address.",
        widget=UnfoldAdminTextInputWidget(),
    )
    api_key = forms.CharField(
        label="Key",
        max_length=1000,
        help_text="Splunk: the collector's token, Datadog: an API key, Elasticsearch: an API key in its encoded form."
        " It is sealed and never shown again.",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
    )
    index = forms.CharField(
        required=False,
        max_length=255,
        help_text="Splunk: an index the token may write to, or none; Elasticsearch: an index or a data stream.",
        widget=UnfoldAdminTextInputWidget(),
    )
    sourcetype = forms.CharField(
        required=False,
        max_length=100,
        help_text=f"Splunk: {destinations.SOURCETYPE} when empty; Datadog: its source.",
        widget=UnfoldAdminTextInputWidget(),
    )
    event_bytes = forms.IntegerField(
        label="Largest event, in bytes",
        required=False,
        min_value=LEAST_EVENT_BYTES,
        max_value=MOST_EVENT_BYTES,
        help_text="Larger ones go without their contents, marked. Empty: as the vendor documents. Splunk cuts at 10,000"
        " unless TRUNCATE of its sourcetype says more.",
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    is_gzipped = forms.BooleanField(
        label="Gzip",
        required=False,
        initial=True,
        help_text="All three take it, and less than a quarter of the bytes travels. Where somebody in between refuses"
        " it, events go plain; off saves asking.",
        widget=UnfoldBooleanSwitchWidget(),
    )
    search_endpoint = forms.CharField(
        label="Endpoint to search",
        required=False,
        max_length=500,
        help_text="For siem_reconcile. Splunk: its management port, Datadog: https://api.datadoghq.com.",
        widget=UnfoldAdminTextInputWidget(),
    )
    search_key = forms.CharField(
        label="Key to search",
        required=False,
        max_length=1000,
        help_text="Splunk: a token that may search, Datadog: an application key.",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
    )


class ChangeForm(DestinationForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("api_key", "search_key"):
            self.fields[name].required = False
            self.fields[name].help_text = f"{self.fields[name].help_text} Empty: as it is."


class ShipAgainForm(forms.Form):
    seq = forms.IntegerField(
        label="From record", min_value=1, help_text="Its number in the log.", widget=UnfoldAdminIntegerFieldWidget()
    )


@admin.register(SiemDestination)
class SiemDestinationAdmin(TenantModelAdmin[SiemDestination]):
    """Where the tenant's log is shipped to, besides the operator's SIEM."""

    view_permission = Permission.EXPORT_AUDIT
    list_display = ("name", "backend", "endpoint", "state", "behind", "last_confirmed")
    ordering = ("name",)
    search_equal = ("name",)
    search_help_text = "Id, name"
    fieldsets = (
        (None, {"fields": ("state", "behind", "behind_since", "last_confirmed", "problem", "refused")}),
        (
            "Where",
            {"fields": _GIVEN},
        ),
        ("Last test", {"fields": ("tested_at", "test_result")}),
    )
    actions_list = ("new",)
    actions_detail = ("test_connection", "edit", "pause", "resume", "ship_again")
    when_empty = "Press New destination."

    def headline(self, row: SiemDestination) -> str:
        return row.name

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, object_id)
        unfit = "pause" if row is None or row.is_paused else "resume"
        return [a for a in super().get_actions_detail(request, object_id) if not a.action_name.endswith(f"_{unfit}")]

    def _lag(self, row: SiemDestination) -> lag.Lag:
        """Asked once for all columns of a row."""
        if (found := vars(row).get("lag")) is None:
            found = vars(row)["lag"] = lag.lag(str(row.pk), created_at=row.created_at)
        return cast(lag.Lag, found)

    @column("State", label=STATES)
    def state(self, row: SiemDestination) -> str:
        if row.is_paused:
            return "Paused"
        found = self._lag(row)
        if found.error:
            return "Failing"
        return "Behind" if found.records else "Up to date"

    @column("Records behind")
    def behind(self, row: SiemDestination) -> str:
        return f"{self._lag(row).records:,}"

    @column("Behind since (UTC)")
    def behind_since(self, row: SiemDestination) -> str:
        since = self._lag(row).since
        return f"{since:%Y-%m-%d %H:%M:%S}" if since else NOTHING

    @column("Last confirmed (UTC)")
    def last_confirmed(self, row: SiemDestination) -> str:
        found = self._lag(row)
        if found.moved_at is None:
            return NOTHING
        at = f"{found.moved_at:%Y-%m-%d %H:%M:%S}"
        return format_html('<span class="k-days">{},</span> record {}', at, f"{found.confirmed:,}")

    @column("Problem")
    def problem(self, row: SiemDestination) -> str:
        found = self._lag(row)
        if not found.error:
            return NOTHING
        again = f" Tried again from {found.due_at:%Y-%m-%d %H:%M:%S} UTC." if found.due_at else ""
        return f"{_said(found.error)}{again}"

    @column("Refused records")
    def refused(self, row: SiemDestination) -> str:
        found = self._lag(row)
        named = [f"{a} ({code})" if a == b else f"{a} to {b} ({code})" for a, b, code in found.refused]
        more = f" and {found.refused_ranges - len(named)} more" if found.refused_ranges > len(named) else ""
        return ", ".join(named) + more if named else NOTHING

    @column("Result")
    def test_result(self, row: SiemDestination) -> str:
        if row.tested_at is None:
            return NOTHING
        return _said(row.test_error) if row.test_error else "It took the test event."

    @verb(
        permission=Permission.RUN_JOBS,
        description="New destination",
        icon="add",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def new(self, request: HttpRequest) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            row = _saved(None, given)
            self.succeed(request, "The destination is made. Test it; the next siem-ship begins to ship.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title="New SIEM destination",
            lead="The log is shipped there from its first record on. Personal values in it are sealed.",
            form=DestinationForm(given_by(request)),
            do=do,
            refusals={DestinationRefused: ""},
            submit="Make it",
            cancel=self.url("changelist"),
        )

    @verb(permission=Permission.RUN_JOBS, description="Change", icon="edit", url_path="edit")
    def edit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            _saved(row, given)
            self.succeed(request, "The destination is changed. Records go on from where they were.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Change {row.name}",
            lead="What it has keeps counting as shipped. For another system, make another destination.",
            form=ChangeForm(given_by(request), initial={name: getattr(row, name) for name in _GIVEN}),
            do=do,
            refusals={DestinationRefused: ""},
            submit="Save",
            cancel=self.url("change", row.pk),
        )

    @verb(
        permission=Permission.RUN_JOBS,
        description="Test connection",
        icon="network_check",
        url_path="test",
        variant=ActionVariant.PRIMARY,
    )
    def test_connection(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def attempt() -> None:
            # Outside the page's transaction: it waits for somebody else's server.
            code = trying.attempt_own(row, now=clock.now())
            if code:
                self.message_user(request, f"It did not take the test event. {_said(code)}", messages.ERROR)
            else:
                self.succeed(request, "It took the test event.")

        def do(given: dict[str, Any]) -> HttpResponse:
            self.after_commit(request, attempt)
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Test the connection to {row.name}",
            lead="One event, kaireon.test, is sent with its key. It holds nothing of the log.",
            form=forms.Form(given_by(request)),
            do=do,
            submit="Test connection",
            cancel=self.url("change", row.pk),
        )

    @verb(permission=Permission.RUN_JOBS, description="Pause", icon="pause_circle", url_path="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._pause(request, object_id, paused=True)

    @verb(permission=Permission.RUN_JOBS, description="Go on", icon="play_circle", url_path="resume")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._pause(request, object_id, paused=False)

    def _pause(self, request: HttpRequest, object_id: str, *, paused: bool) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            destinations.pause(row, paused=paused, now=clock.now())
            return "Records wait." if paused else "It goes on with the next siem-ship."

        return self.confirm(
            request,
            row,
            do,
            title=f"{'Pause' if paused else 'Go on with'} {row.name}",
            lead="Records wait and none is lost." if paused else "What waited is shipped, in order.",
            submit="Pause" if paused else "Go on",
        )

    @verb(permission=Permission.RUN_JOBS, description="Ship again", icon="replay", url_path="again")
    def ship_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            again.ship_again(row, seq=given["seq"], now=clock.now())
            self.succeed(request, f"Records from {given['seq']:,} on are shipped again, under the same ids.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Ship again to {row.name}",
            lead="Everything from this record on is shipped once more. Elasticsearch keeps one copy of each; Splunk and"
            " Datadog keep both, under one event id. To send only what is missing: manage.py siem_reconcile.",
            form=ShipAgainForm(given_by(request)),
            do=do,
            refusals={ValueError: "The destination has not come so far."},
            submit="Ship again",
            cancel=self.url("change", row.pk),
        )


def _said(code: str) -> str:
    return f"{REMEDIES.get(code, '')} ({code})".strip()


def _saved(row: SiemDestination | None, given: dict[str, Any]) -> SiemDestination:
    columns = {name: value for name, value in given.items() if name not in ("api_key", "search_key")}
    return destinations.save(
        row=row,
        given=columns,
        api_key=given["api_key"] or None,
        search_key=given["search_key"] or None,
        now=clock.now(),
    )
