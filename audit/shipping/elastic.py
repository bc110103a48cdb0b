"""Elasticsearch's bulk API: `create` with the event's id, a verdict for each item.

- Bulk API: POST /<index>/_bulk, NDJSON of action and source, a newline at the end, application/x-ndjson. It answers 200
  also when items failed: `errors` says that some did, `items` has a status for each, in order. `create` answers 409 for
  an id that is there already, which is what a second copy is; it works on data streams, which want `@timestamp`. 429
  (es_rejected_execution_exception) may be tried again; 400 (document_parsing_exception and its kin) is the item's own.
  https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
- Sizes: `http.max_content_length` is 100 MB; request bodies may be gzip (`http.compression`).
  https://www.elastic.co/docs/reference/elasticsearch/configuration-reference/networking-settings
- API keys: `Authorization: ApiKey <base64 of id:key>`; it needs `create_doc` to ship, `read` and `maintenance` to look.
  https://www.elastic.co/docs/reference/elasticsearch/security-privileges
- Data streams and aliases that roll over: `create` knows an id for a second copy within the index that is written to,
  and no longer after a rollover; a search goes through all of the indices behind the name, a get through the one alone.
  https://www.elastic.co/docs/manage-data/data-store/data-streams
  https://github.com/elastic/elasticsearch/issues/44794
- Search with an `ids` query finds at most 10,000 (`index.max_result_window`); `hits.total` says how many there are, and
  nothing is read page by page, so nothing expires. A refresh makes what was indexed visible. Shards that fail or time
  out are left out with a 200 unless `allow_partial_search_results=false`.
  https://www.elastic.co/docs/reference/query-languages/query-dsl/query-dsl-ids-query
  https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-search
"""

from collections.abc import Sequence
from typing import Any

import orjson

from audit.shipping import formats
from audit.shipping.client import Answer, Away, Client, Request
from audit.shipping.destinations import Target
from audit.shipping.formats import Envelope, Format, Found, Place, Sought, Verdict

BULK = "/_bulk"
_SAID = "filter_path=errors,items.*._id,items.*.status,items.*.error.type"
_THERE_ALREADY = 409
# Of the ids that are looked for at once.
PAGE = 1000
# `index.max_result_window`, which a search does not go beyond.
MOST_FOUND = 10_000


def envelope(target: Target, log: str) -> Envelope:
    source = (Place.MOMENT, '","kaireonBlock":"', Place.BLOCK, '",', Place.RECORD, "}\n")
    return ('{"create":{"_id":"', Place.EVENT, '"}}\n{"@timestamp":"', *source)


def request(bodies: Sequence[bytes], target: Target, channel: str) -> Request:
    headers = [*_headers(target), ("Content-Type", "application/x-ndjson")]
    return formats.request(
        target, formats.at(target.endpoint, f"/{target.index}{BULK}", _SAID), headers, b"".join(bodies)
    )


def judge(answer: Answer, ids: Sequence[str]) -> Verdict:
    formats.refuse_the_whole(answer)
    if answer.status == 413:
        return Verdict(split="too_large")
    if answer.status == 400:
        return Verdict(split="http_400")
    said = formats.said(answer)
    items = said.get("items")
    if answer.status != 200 or not isinstance(items, list) or len(items) != len(ids):
        raise Away("answer_not_understood")
    refused: dict[int, str] = {}
    again: list[int] = []
    for number, (item, name) in enumerate(zip(items, ids, strict=True)):
        done = item.get("create") if isinstance(item, dict) else None
        if not isinstance(done, dict) or done.get("_id") != name:
            raise Away("answer_not_understood")
        status = done.get("status")
        if status in (200, 201, _THERE_ALREADY):
            continue
        if status == 429 or not isinstance(status, int) or status >= 500:
            again.append(number)
        elif status in (401, 403):
            raise Away("unauthorized")
        elif status == 404:
            raise Away("not_found")
        else:
            refused[number] = _code(done.get("error"), status)
    return Verdict(refused=refused, again=again, is_throttled=bool(again), wait=answer.wait)


def _code(error: Any, status: int) -> str:
    kind = error.get("type") if isinstance(error, dict) else None
    # Names of their exceptions, and nothing else: reasons quote the document.
    return kind[:64] if isinstance(kind, str) and kind.isidentifier() else f"http_{status}"


def searchable(target: Target) -> None:
    """The endpoint and the key do for both."""


def find(client: Client, target: Target, sought: Sought) -> Found:
    _refresh(client, target)
    found: list[tuple[str, str]] = []
    pages = [list(sought.ids[first : first + PAGE]) for first in range(0, len(sought.ids), PAGE)]
    while pages:
        wanted = pages.pop()
        try:
            hits, is_all = _searched(client, target, {"ids": {"values": wanted}}, True)
        except Away as away:
            if away.code != "answer_too_large" or len(wanted) == 1:
                raise
            hits, is_all = [], False
        if not is_all and len(wanted) > 1:
            middle = len(wanted) // 2
            pages += [wanted[:middle], wanted[middle:]]
            continue
        found += [(str(hit.get("_id")), sought.look(hit.get("_source") or {})) for hit in hits]
    return found + _others(client, target, sought)


def _others(client: Client, target: Target, sought: Sought) -> list[tuple[str, str]]:
    """What carries the block's name under an id that is none of these. A phrase fits fields that are text and those
    that are keywords."""
    other = {
        "must": [{"match_phrase": {"kaireonBlock": sought.block}}],
        "must_not": [{"ids": {"values": list(sought.ids)}}],
    }
    hits, is_all = _searched(client, target, {"bool": other}, ["eventId"])
    if not is_all:
        raise Away("too_many_others")
    return [(str((hit.get("_source") or {}).get("eventId") or hit.get("_id")), "") for hit in hits]


def _refresh(client: Client, target: Target) -> None:
    """Let searches find all that is indexed. Raises Away, also when it did not come about on every shard."""
    answer = client.post(Request(url=_search_url(target, "/_refresh"), headers=_headers(target), body=b""))
    formats.refuse_the_whole(answer)
    _all_shards(answer)


def _searched(client: Client, target: Target, query: dict[str, Any], source: Any) -> tuple[list[dict[str, Any]], bool]:
    """What was found, and whether it is all that there is. Raises Away."""
    asked = {"query": query, "size": MOST_FOUND, "track_total_hits": True, "_source": source}
    headers = [*_headers(target), ("Content-Type", "application/json")]
    url = _search_url(target, "/_search", "allow_partial_search_results=false")
    answer = client.post(Request(url=url, headers=headers, body=orjson.dumps(asked)))
    formats.refuse_the_whole(answer)
    said = _all_shards(answer)
    hits = said.get("hits")
    found = hits.get("hits") if isinstance(hits, dict) else None
    total = hits["total"].get("value") if isinstance(hits, dict) and isinstance(hits.get("total"), dict) else None
    if not isinstance(found, list) or not isinstance(total, int):
        raise Away("answer_not_understood")
    return found, total <= len(found)


def _all_shards(answer: Answer) -> dict[str, Any]:
    """What it said, when every shard did. Raises Away."""
    said = formats.said(answer)
    shards = said.get("_shards")
    if answer.status != 200 or not isinstance(shards, dict):
        raise Away("answer_not_understood")
    if said.get("timed_out") or shards.get("failed"):
        raise Away("search_incomplete")
    return said


def _search_url(target: Target, path: str, query: str = "") -> str:
    return formats.at(target.search_endpoint or target.endpoint, f"/{target.index}{path}", query)


def _headers(target: Target) -> list[tuple[str, str]]:
    return [("Authorization", f"ApiKey {target.api_key}")]


FORMAT = Format(
    event_bytes=5_000_000,
    body_bytes=10_000_000,
    as_text=True,
    between=b"",
    envelope=envelope,
    request=request,
    judge=judge,
    find=find,
    searchable=searchable,
)
