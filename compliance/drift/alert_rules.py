"""Alert rules as a kind of what can be declared, by their names, with providers by theirs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from compliance.alerting import metrics, rules
from compliance.drift import channels
from compliance.drift.kinds import Items, Kind, NotAppliable, register
from compliance.models import AlertRule, Operator, Severity
from kaireon.tenancy.context import Actor

# As on the wire.
_COLUMNS = {wire: column for column, wire in rules.FIELDS.items() if wire != "name"}
_NEEDED = ("metric", "operator", "threshold")
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "metric": ((str,), "text"),
    "operator": ((str,), "text"),
    "threshold": ((int, float), "a number"),
    "windowSeconds": ((int, type(None)), "a whole number of seconds, or null"),
    "forSeconds": ((int,), "a whole number of seconds"),
    "cooldownSeconds": ((int,), "a whole number of seconds"),
    "severity": ((str,), "text"),
    "channels": ((list,), channels.SAID),
    "alertOnNoData": ((bool,), "true or false"),
    "enabled": ((bool,), "true or false"),
}


def actual(now: datetime) -> Items:
    names = channels.named()
    found = {}
    for rule in AlertRule.objects.present():
        said = {wire: getattr(rule, column) for wire, column in _COLUMNS.items()}
        found[rule.name] = {**said, "channels": channels.names_of(rule.channels, names)}
    return found


def check(name: str, fields: Mapping[str, Any]) -> None:
    """What can be said of a file alone; the rest is checked when it is brought about. Raises ValueError."""
    for field in _NEEDED:
        if field not in fields:
            raise ValueError(f"{field}: must be said.")
    _check_types(fields)
    for field, known in (("operator", Operator.values), ("severity", Severity.values)):
        if fields.get(field, known[0]) not in known:
            raise ValueError(f"{field}: must be one of {', '.join(known)}.")
    # So neither .nan nor .inf, which no column keeps.
    if not -rules.MOST_THRESHOLD <= fields["threshold"] <= rules.MOST_THRESHOLD:
        raise ValueError(f"threshold: must be from -{rules.MOST_THRESHOLD:.0f} to {rules.MOST_THRESHOLD:.0f}.")
    channels.check(fields.get("channels", []))
    try:
        metrics.get(fields["metric"])
    except metrics.UnknownMetric as error:
        raise ValueError(f"metric: {error}") from error


def _check_types(fields: Mapping[str, Any]) -> None:
    for field, value in fields.items():
        types, said = _TYPES[field]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError(f"{field}: must be {said}.")


def put(name: str, fields: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """Raises NotAppliable."""
    given = {_COLUMNS[wire]: value for wire, value in fields.items()} | {"name": name}
    if "channels" in fields:
        given["channels"] = channels.ids_of(fields["channels"])
    rule = AlertRule.objects.present().filter(name=name).first()
    try:
        if rule is None:
            rules.create(given=given, now=now)
        else:
            rules.change(rule.pk, given=given, now=now)
    except rules.RuleRefused as error:
        raise NotAppliable(f"{error.field} {error}") from error


def remove(name: str, actor: Actor, now: datetime) -> None:
    """Its history stays."""
    rule = AlertRule.objects.present().filter(name=name).first()
    if rule is not None:
        rules.remove(rule.pk, now=now)


register(Kind(name="alertRules", fields=tuple(_COLUMNS), actual=actual, check=check, put=put, remove=remove))
