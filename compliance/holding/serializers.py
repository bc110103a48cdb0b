"""Matters, holds and notices on the wire."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from rest_framework import serializers

from compliance.holding import counts, matters
from compliance.holding.counts import NOBODY
from compliance.holding.matters import What
from compliance.models import Hold, HoldState, Matter
from customers.rows import Unreadable, bound
from kaireon.api.serializers import PageOut, StrictSerializer
from kaireon.approvals.serializers import ApprovalOut
from kaireon.lib import clock

_NO_NAMES = "Name no customer: it stands in the audit log in clear."


class Moment(serializers.CharField):
    """A moment with its offset, or a day, which means its beginning or its end in UTC."""

    def __init__(self, *, is_end: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self.is_end = is_end

    def to_internal_value(self, data: Any) -> Any:
        try:
            return bound(super().to_internal_value(data), is_end=self.is_end)
        except Unreadable as e:
            raise serializers.ValidationError(str(e)) from e


class StrictBoolean(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("must be true or false.")
        return data


class ScopeIn(StrictSerializer):
    dataClass = serializers.CharField(required=False, max_length=64, help_text="Default: every class.")
    entity = serializers.CharField(required=False, max_length=64, help_text="As docs/catalogue.md; default: all.")
    subjects = serializers.ListField(
        child=serializers.CharField(max_length=256),
        required=False,
        max_length=matters.MOST_SUBJECTS,
        help_text="Numbers of customers; default: everybody.",
    )
    query = serializers.ListField(
        child=serializers.JSONField(),
        required=False,
        help_text="[{field, op, value}], all of which are true of a row. Needs `entity`.",
    )

    def get_fields(self) -> Any:
        times = "A moment with its offset, or a day, in UTC. Compared to the clock of docs/catalogue.md."
        return {
            **super().get_fields(),
            "from": Moment(required=False, help_text=times),
            "until": Moment(required=False, is_end=True, help_text=f"{times} A day counts to its end."),
        }


class MatterIn(StrictSerializer):
    name = serializers.CharField(max_length=200, help_text=_NO_NAMES)
    reason = serializers.CharField(max_length=500, help_text=f"The duty to keep, and where it comes from. {_NO_NAMES}")
    reference = serializers.CharField(required=False, allow_blank=True, max_length=100, help_text="The file number.")
    counsel = serializers.CharField(required=False, allow_blank=True, max_length=200)
    reviewOn = serializers.DateField(
        required=False, allow_null=True, help_text="When somebody is asked whether it is still needed."
    )


class HoldIn(ScopeIn):
    matterId = serializers.UUIDField(required=False, help_text="The matter it is for.")
    matter = MatterIn(required=False, help_text="Or a matter that is opened with it.")
    custodians = serializers.ListField(
        child=serializers.UUIDField(), required=False, help_text="`userId` of members, who get a notice."
    )
    confirm = StrictBoolean(default=False, help_text="Hold what finds nothing, or everything there is.")


class ReviewIn(StrictSerializer):
    reviewOn = serializers.DateField(allow_null=True, help_text="null: nobody is asked.")


class ReleaseIn(StrictSerializer):
    reason = serializers.CharField(max_length=500, help_text=f"Why nothing is to be kept any more. {_NO_NAMES}")


class MatterOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    reference = serializers.CharField()
    reason = serializers.CharField()
    counsel = serializers.CharField()
    reviewOn = serializers.DateField(source="review_on", allow_null=True)
    openedBy = serializers.CharField(source="opened_by")
    openedAt = serializers.DateTimeField(source="opened_at")
    closedAt = serializers.DateTimeField(source="closed_at", allow_null=True)


class MattersOut(PageOut):
    matters = MatterOut(many=True)


class AskedForOut(serializers.Serializer[Any]):
    """The scope as it is kept."""

    dataClass = serializers.CharField(allow_null=True, help_text="null: every class.")
    entity = serializers.CharField(allow_null=True, help_text="null: every entity.")
    subjectCount = serializers.IntegerField(allow_null=True, help_text="null: everybody.")
    query = serializers.ListField(child=serializers.JSONField(), allow_null=True)

    def get_fields(self) -> Any:
        return {
            **super().get_fields(),
            "from": serializers.DateTimeField(allow_null=True),
            "until": serializers.DateTimeField(allow_null=True),
        }


class HoldOut(AskedForOut):
    id = serializers.UUIDField()
    matter = MatterOut()
    state = serializers.ChoiceField(choices=HoldState.choices, help_text="`releasing` holds as before.")
    placedBy = serializers.CharField()
    placedAt = serializers.DateTimeField()
    recordedAt = serializers.DateTimeField(help_text="The same by the database's own clock.")
    releaseAskedBy = serializers.CharField(allow_null=True)
    releaseReason = serializers.CharField(allow_null=True)
    releaseAgreedBy = serializers.CharField(allow_null=True)
    releasesAt = serializers.DateTimeField(allow_null=True, help_text="When the cooling-off ends.")
    releasedAt = serializers.DateTimeField(allow_null=True)
    noticesSent = serializers.IntegerField()
    noticesAcknowledged = serializers.IntegerField()


class HoldsOut(PageOut):
    holds = HoldOut(many=True)


class NoticeOut(serializers.Serializer[Any]):
    memberId = serializers.CharField(source="member_id")
    sentAt = serializers.DateTimeField(source="sent_at")
    reminders = serializers.IntegerField()
    remindedAt = serializers.DateTimeField(source="reminded_at", allow_null=True)
    acknowledgedAt = serializers.DateTimeField(source="acknowledged_at", allow_null=True)


class HappenedOut(serializers.Serializer[Any]):
    seq = serializers.IntegerField(help_text="Of the audit log's record that proves it.")
    action = serializers.CharField()
    userId = serializers.CharField(source="user_id", allow_null=True)
    userName = serializers.CharField(source="user_name")
    timestamp = serializers.DateTimeField()


class HoldDetailOut(HoldOut):
    subjects = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="Numbers of the customers, for who may read those."
    )
    notices = NoticeOut(many=True)
    history = HappenedOut(many=True)
    approval = ApprovalOut(allow_null=True, help_text="The request to release it that waits.")


class PreviewOut(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    byEntity = serializers.DictField(child=serializers.IntegerField(), help_text="Without those that have none.")
    confirm = serializers.CharField(
        allow_blank=True,
        help_text="What `confirm` is asked for: `nothing at all`, `everything there is`, `every row of its entity`.",
    )


class WaitingOut(AskedForOut):
    """What a custodian was told to keep. It names no customer."""

    holdId = serializers.UUIDField()
    matter = serializers.CharField()
    reference = serializers.CharField()
    reason = serializers.CharField()
    sentAt = serializers.DateTimeField()
    reminders = serializers.IntegerField()


class WaitingsOut(PageOut):
    notices = WaitingOut(many=True)


class AcknowledgedOut(serializers.Serializer[Any]):
    holdId = serializers.UUIDField(source="hold_id")
    acknowledgedAt = serializers.DateTimeField(source="acknowledged_at")


def what_of(given: dict[str, Any]) -> What:
    """The scope of a ScopeIn. Raises matters.ScopeRefused when a customer is not known."""
    numbers = given.get("subjects")
    return What(
        data_class=given.get("dataClass", ""),
        entity=given.get("entity", ""),
        subjects=None if numbers is None else matters.subjects_named(numbers),
        from_at=given.get("from"),
        until_at=given.get("until"),
        query=given.get("query"),
    )


def preview_of(what: What) -> dict[str, Any]:
    """Raises matters.ScopeRefused."""
    found = matters.reach(what)
    return {"rows": sum(found.values()), "byEntity": found, "confirm": matters.surprise(what)}


def wires(holds: Collection[Hold]) -> list[dict[str, Any]]:
    """Holds of matters in camelCase, with how many are named and told."""
    ids = [hold.pk for hold in holds]
    named, told = counts.named(ids), counts.told(ids)
    about = Matter.objects.in_bulk({hold.matter_id for hold in holds})
    return [
        {
            "id": str(hold.pk),
            "matter": dict(MatterOut(about[hold.matter_id]).data),
            **asked_for(hold, named.get(hold.pk, 0)),
            "state": hold.state,
            "placedBy": hold.placed_by,
            "placedAt": clock.rfc3339(hold.placed_at),
            "recordedAt": _moment(hold.recorded_at),
            "releaseAskedBy": hold.release_asked_by or None,
            "releaseReason": hold.release_reason or None,
            "releaseAgreedBy": hold.release_agreed_by or None,
            "releasesAt": _moment(hold.releases_at),
            "releasedAt": _moment(hold.released_at),
            "noticesSent": told.get(hold.pk, NOBODY).sent,
            "noticesAcknowledged": told.get(hold.pk, NOBODY).acknowledged,
        }
        for hold in holds
    ]


def wire(hold: Hold) -> dict[str, Any]:
    return wires([hold])[0]


def asked_for(hold: Hold, named: int) -> dict[str, Any]:
    return {
        "dataClass": hold.data_class or None,
        "entity": hold.entity or None,
        "subjectCount": named if hold.of_subjects else None,
        "from": _moment(hold.from_at),
        "until": _moment(hold.until_at),
        "query": hold.query,
    }


def _moment(at: datetime | None) -> str | None:
    return clock.rfc3339(at) if at else None
