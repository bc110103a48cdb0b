"""Datadog's log intake (v2): an array of logs, gzip.

- Send logs: POST /api/v2/logs, `DD-API-KEY`; at most 5 MB uncompressed, 1,000 logs, 1 MB a log. A larger log is cut and
  answered with 2xx all the same, so it is reduced here, and marked. 202 accepted; 400, 401, 403, 408, 413, 429, 5xx.
  Timestamps of more than 18 hours ago or 2 hours ahead are not taken over, so such records go without `date`, under the
  moment they arrive; their own stays in `kaireon.timestamp`.
  https://docs.datadoghq.com/api/latest/logs/#send-logs
- Tags are small letters, up to 200 characters. https://docs.datadoghq.com/getting_started/tagging/
- Search logs: POST /api/v2/logs/events/search with `DD-API-KEY` and `DD-APPLICATION-KEY`, pages of up to 1,000 by
  `page.cursor` from `meta.page.after`. With `meta.status` timeout or `meta.warnings` the results may be a part.
  https://docs.datadoghq.com/api/latest/logs/#search-logs

Accepted is all that it says: whether a log is in the index only a search tells, which is what siem_reconcile does.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from audit.shipping import formats
from audit.shipping.client import Answer, Away, Client, Request
from audit.shipping.destinations import Target
from audit.shipping.formats import Envelope, Format, Found, NotSearchable, Place, Sought, Verdict
from kaireon.lib import clock

LOGS = "/api/v2/logs"
SEARCH = "/api/v2/logs/events/search"
SOURCE = "kaireon"
PAGE = 1000
_HOUR = 3_600_000


def envelope(target: Target, log: str) -> Envelope:
    host, _, tenant = log.rpartition("/")
    who = (
        f'{{"ddsource":"{target.sourcetype or SOURCE}","service":"kaireon-audit","hostname":"{host.partition("/")[0]}",'
        f'"ddtags":"kaireon_tenant:{tenant},kaireon_block:'
    )
    said = (Place.DATE, '"message":', Place.TITLE, ',"kaireon":{', Place.RECORD, "}}")
    return (who, Place.BLOCK, '",', *said)


def request(bodies: Sequence[bytes], target: Target, channel: str) -> Request:
    headers = [("DD-API-KEY", target.api_key), ("Content-Type", "application/json")]
    return formats.request(target, formats.at(target.endpoint, LOGS), headers, b"[" + b",".join(bodies) + b"]")


def judge(answer: Answer, ids: Sequence[str]) -> Verdict:
    """All or nothing; a payload that is refused does not say because of which log."""
    formats.refuse_the_whole(answer)
    if answer.status == 202:
        return Verdict()
    if answer.status == 413:
        return Verdict(split="too_large")
    if answer.status == 400:
        return Verdict(split="http_400")
    raise Away("answer_not_understood")


def searchable(target: Target) -> None:
    if not (target.search_endpoint and target.search_key):
        raise NotSearchable(
            "Looking into Datadog needs its API and an application key that may read logs: set SIEM_SEARCH_ENDPOINT,"
            " such as https://api.datadoghq.com, and SIEM_SEARCH_KEY, or the same of the destination."
        )


def find(client: Client, target: Target, sought: Sought) -> Found:
    limit = PAGE
    while True:
        try:
            return _found(client, target, sought, limit)
        except Away as away:
            if away.code != "answer_too_large" or limit == 1:
                raise
        # From the beginning: a cursor goes with the search that it came from.
        limit //= 2


def _found(client: Client, target: Target, sought: Sought, limit: int) -> Found:
    headers = [
        ("DD-API-KEY", target.api_key),
        ("DD-APPLICATION-KEY", target.search_key),
        ("Content-Type", "application/json"),
    ]
    url = formats.at(target.search_endpoint, SEARCH)
    filtered = {
        "query": f'service:kaireon-audit kaireon_block:"{sought.block}"',
        "from": str(max(0, sought.earliest - _HOUR)),
        # A clock that runs ahead of theirs dates records later than now.
        "to": str(int(clock.now().timestamp() * 1000) + 24 * _HOUR),
    }
    found: list[tuple[str, str]] = []
    cursor = ""
    while True:
        page: dict[str, Any] = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        asked = {"filter": filtered, "sort": "timestamp", "page": page}
        answer = client.post(Request(url=url, headers=headers, body=orjson.dumps(asked)))
        formats.refuse_the_whole(answer)
        said = formats.said(answer)
        logs, meta = said.get("data"), said.get("meta") or {}
        if answer.status != 200 or not isinstance(logs, list) or not isinstance(meta, dict):
            raise Away("answer_not_understood")
        if meta.get("status", "done") != "done" or meta.get("warnings"):
            raise Away("search_incomplete")
        for log in logs:
            event = log.get("attributes", {}).get("attributes", {}).get("kaireon", {})
            if name := event.get("eventId"):
                found.append((str(name), sought.look(event)))
        after = str((meta.get("page") or {}).get("after") or "")
        if not after:
            return found
        if after == cursor:
            raise Away("answer_not_understood")
        cursor = after


FORMAT = Format(
    event_bytes=990_000,
    body_bytes=4_900_000,
    as_text=True,
    between=b",",
    envelope=envelope,
    request=request,
    judge=judge,
    find=find,
    searchable=searchable,
)
