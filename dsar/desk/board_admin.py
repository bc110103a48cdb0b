"""The board in the admin. Requests are chosen on it and assigned together; their pages do the rest."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.http import urlencode
from unfold.enums import ActionVariant

from dsar import deadlines
from dsar.desk.board import FILTERS, BadFilter, Card, Lane, Wanted, lanes, wanted
from dsar.models import DsarRequest, State
from dsar.requests import answer_page, assigning, countdown
from dsar.requests import today as days
from dsar.requests.kinds import KINDS, title_of
from dsar.urgency import TITLES
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import READ_METHODS, TenantModelAdmin, may, principal_of, verb
from kaireon.tenancy.roles import Permission

TITLE = "Request desk"
# How the list is asked for what a filter of the board asks for.
_IN_THE_LIST = {
    "kind": "request_type__exact",
    "regulation": "regulation__exact",
    "assigned": "assigned",
    "urgency": "urgency",
}


class BoardPage(TenantModelAdmin[DsarRequest]):
    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        # The menu leads to the board, and the board to the report.
        shown: list[Any] = super().get_actions_list(request)
        return [a for a in shown if a.action_name.rsplit("_", 1)[-1] not in ("board", "report")]

    @verb(
        permission=Permission.READ_DSAR,
        description="Board",
        icon="view_kanban",
        url_path="board",
        variant=ActionVariant.PRIMARY,
    )
    def board(self, request: HttpRequest) -> HttpResponse:
        if request.method not in READ_METHODS:
            return HttpResponseNotAllowed(READ_METHODS)
        asked, refusal = Wanted(), ""
        try:
            asked = wanted(request.GET)
        except BadFilter as error:
            refusal = str(error)
        me, zone, now = principal_of(request).actor.id, days.zone(), clock.now()
        shown = [] if refusal else lanes(asked, me=me, now=now, zone=zone)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": TITLE,
            "headline": TITLE,
            "refusal": refusal,
            "asked": asked,
            "kinds": [(name, kind.title) for name, kind in KINDS.items()],
            "laws": [(law.regulation, law.title) for law in deadlines.LAWS.values()],
            "urgencies": TITLES.items(),
            "officers": [(str(member.user_id), member.user.name) for member in assigning.officers()],
            "lanes": [_lane(lane, self._address(lane, asked)) for lane in shown],
            "may_manage": may(request, Permission.MANAGE_DSAR),
            "is_empty": not refusal and asked.is_empty and not any(lane.count for lane in shown),
            "zone": zone.key,
        }
        return TemplateResponse(request, "admin/dsar/board.html", context)

    def _address(self, lane: Lane, asked: Wanted) -> str:
        """The list with everything that is in this column; what was answered long ago too."""
        states = [str(state) for state in lane.column.states]
        narrowed = {_IN_THE_LIST[name]: getattr(asked, name) for name in FILTERS if getattr(asked, name)}
        return f"{self.url('changelist')}?{urlencode({'state__in': ','.join(states), **narrowed})}"


def _lane(lane: Lane, address: str) -> dict[str, Any]:
    return {
        "name": lane.column.name,
        "title": lane.column.title,
        "empty": lane.column.empty,
        "count": lane.count,
        "more": lane.more,
        "address": address,
        "cards": [_card(card) for card in lane.cards],
    }


def _card(card: Card) -> dict[str, Any]:
    row, urgency = card.request, card.standing.urgency
    return {
        "row": row,
        "kind": title_of(row),
        # Its title is too long for a card.
        "law": row.regulation.upper().replace("_", " "),
        "look": countdown.LOOKS[urgency],
        "icon": countdown.ICONS[urgency],
        "text": card.standing.text,
        "says": _says(row),
        "is_open": row.state != State.COMPLETED,
    }


def _says(row: DsarRequest) -> str:
    """What its column does not say of it."""
    if row.duplicate_of is not None:
        return "Waits for another request" if row.state != State.COMPLETED else str(row.get_outcome_display())
    if row.state == State.FAILED:
        return row.error.replace("_", " ")
    if row.state == State.DEFERRED:
        return answer_page.deferral(row)
    if row.state == State.COMPLETED:
        return str(row.get_outcome_display())
    if row.state in (State.IDENTITY, State.REVIEW, State.QUEUED):
        return ""
    return str(row.get_state_display())
