"""What is said of an alert, in the form that each kind of receiver takes. Names no customer: figures and rules alone.

Slack: docs.slack.dev, "Sending messages using incoming webhooks" and "Block Kit" (a header of 150 characters, a section
of ten fields of 2,000; `&`, `<` and `>` are escaped). Teams: learn.microsoft.com, "Create incoming webhooks with
Workflows for Microsoft Teams" (one Adaptive Card in a message, at most 28 KB); the name of a rule stands in a TextRun,
which reads no Markdown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from compliance.alerting.metrics import Unit
from kaireon.lib import clock

TITLES = {"firing": "Firing", "no_data": "No data", "resolved": "Resolved", "test": "Test"}
_HEADER = 150
_SUBJECT = 200
_CARD = "http://adaptivecards.io/schemas/adaptive-card.json"
_COLOURS = {"firing": "Attention", "no_data": "Warning", "resolved": "Good", "ready": "Good", "failed": "Attention"}


class Tellable(Protocol):
    """What people are told of, an alert or something else: one line, facts, and a page to open, which `link` names."""

    @property
    def word(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def headline(self) -> str: ...
    @property
    def facts(self) -> list[tuple[str, str]]: ...
    @property
    def url(self) -> str: ...
    @property
    def link(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Said:
    """`word` is firing, no_data, resolved or test; `condition` and `value` are in words, for people."""

    word: str
    tenant: str
    at: datetime
    url: str = ""
    rule_id: str = ""
    change_id: str = ""
    rule: str = ""
    severity: str = ""
    metric: str = ""
    title: str = ""
    operator: str = ""
    threshold: float | None = None
    number: float | None = None
    unit: str = ""
    window: int | None = None
    condition: str = ""
    value: str = ""
    reason: str = ""
    link: str = "Open the rule"

    @property
    def headline(self) -> str:
        if self.word == "test":
            return "Test: notifications from Kaireon Compliance arrive here"
        return f"{TITLES[self.word]}: {self.rule}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        if self.word == "test":
            return [("Tenant", self.tenant), ("At", _moment(self.at))]
        return [
            ("Severity", self.severity),
            ("Figure", self.title),
            ("Value", self.value),
            ("Alerts when", self.condition),
            ("Tenant", self.tenant),
            ("At", _moment(self.at)),
        ]


def webhook(said: Said, recipients: Sequence[str]) -> dict[str, Any]:
    """For machines: field by field."""
    if said.word == "test":
        return {"kind": "test", "tenantName": said.tenant, "at": clock.rfc3339(said.at)}
    return {
        "kind": said.word,
        "ruleId": said.rule_id,
        "changeId": said.change_id,
        "rule": said.rule,
        "severity": said.severity,
        "metric": said.metric,
        "operator": said.operator,
        "threshold": said.threshold,
        "value": said.number,
        "unit": said.unit,
        "windowSeconds": said.window,
        "reason": said.reason,
        "tenantName": said.tenant,
        "at": clock.rfc3339(said.at),
        "url": said.url or None,
    }


def slack(said: Tellable, recipients: Sequence[str]) -> dict[str, Any]:
    fields = [{"type": "mrkdwn", "text": f"*{name}*\n{_escaped(value)[:1900]}"} for name, value in said.facts]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": said.headline[:_HEADER], "emoji": False}},
        {"type": "section", "fields": fields},
    ]
    if said.url:
        button = {"type": "mrkdwn", "text": f"<{said.url}|{said.link}>"}
        blocks.append({"type": "context", "elements": [button]})
    return {"text": _escaped(said.headline), "blocks": blocks}


def teams(said: Tellable, recipients: Sequence[str]) -> dict[str, Any]:
    run = {"type": "TextRun", "text": said.headline, "size": "Large", "weight": "Bolder"}
    card: dict[str, Any] = {
        "$schema": _CARD,
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [
            {"type": "RichTextBlock", "inlines": [{**run, "color": _COLOURS.get(said.word, "Default")}]},
            {"type": "FactSet", "facts": [{"title": name, "value": _unmarked(value)} for name, value in said.facts]},
        ],
    }
    if said.url:
        card["actions"] = [{"type": "Action.OpenUrl", "title": said.link, "url": said.url}]
    content = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [content]}


def mail(said: Tellable, recipients: Sequence[str]) -> dict[str, Any]:
    lines = [said.headline, "", *(f"{name}: {value}" for name, value in said.facts)]
    if said.url:
        lines += ["", said.url]
    severity = f"[{said.severity}] " if said.severity else ""
    return {
        "to": list(recipients),
        "subject": f"{severity}{said.headline}"[:_SUBJECT],
        "text": "\n".join(lines) + "\n",
    }


FOR_PEOPLE: Mapping[str, Callable[[Tellable, Sequence[str]], dict[str, Any]]] = {
    "slack": slack,
    "teams": teams,
    "email": mail,
}
FORMS: Mapping[str, Callable[[Said, Sequence[str]], dict[str, Any]]] = {"webhook": webhook, **FOR_PEOPLE}


def shown(value: float | None, unit: str) -> str:
    """A figure for people: `12.5 %`, `3 h`, `yes`."""
    if value is None:
        return "no data"
    if unit == Unit.TRUTH and value in (0, 1):
        return "yes" if value else "no"
    number = f"{value:,.0f}" if value == int(value) else f"{value:,.2f}".rstrip("0").rstrip(".")
    ends = {Unit.PERCENT: " %", Unit.SECONDS: " s", Unit.HOURS: " h", Unit.DAYS: " days"}
    return number + ends.get(Unit(unit), "")


def span(seconds: int) -> str:
    """`90 s`, `15 min`, `2 h`, `3 days`."""
    for size, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {name if (name != 'days' or seconds != size) else 'day'}"
    return f"{seconds} s"


def _moment(at: datetime) -> str:
    return f"{clock.in_utc(at):%Y-%m-%d %H:%M:%S} UTC"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unmarked(text: str) -> str:
    """What stands in a fact, where Markdown is read: nothing of it is a link or bold."""
    return "".join("\\" + letter if letter in "\\*_[]()#`~" else letter for letter in text)
