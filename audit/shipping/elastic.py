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
- Search with an `ids` query finds at most 10,000 (`index.max_result_window`), of data streams too; a refresh makes what
  was indexed visible. https://www.elastic.co/docs/reference/query-languages/query-dsl/query-dsl-ids-query
"""

from collections.abc import Sequence
from typing import Any

import orjson

from audit.shipping import formats
from audit.shipping.client import Answer, Away, Client, Request
from audit.shipping.destinations import Target
from audit.shipping.formats import Envelope, Format, Found, Place, Verdict

BULK = "/_bulk"
_SAID = "filter_path=errors,items.*._id,items.*.status,items.*.error.type"
_THERE_ALREADY = 409
# Of the ids that are looked for at once.
PAGE = 1000


def envelope(target: Target, log: str) -> Envelope:
    source = (Place.MOMENT, '","kaireonBlock":"', Place.BLOCK, '",', Place.RECORD, "}\n")
    return ('{"create":{"_id":"', Place.EVENT, '"}}\n{"@timestamp":"', *source)


def request(bodies: Sequence[bytes], target: Target, channel: str) -> Request:
    headers, body = formats.packed([*_headers(target), ("Content-Type", "application/x-ndjson")], b"".join(bodies))
    return Request(url=formats.at(target.endpoint, f"/{target.index}{BULK}", _SAID), headers=headers, body=body)


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


def find(client: Client, target: Target, block: str, ids: Sequence[str], earliest: int) -> Found:
    headers = [*_headers(target), ("Content-Type", "application/json")]
    endpoint = target.search_endpoint or target.endpoint
    answer = client.post(Request(url=formats.at(endpoint, f"/{target.index}/_refresh"), headers=headers, body=b""))
    formats.refuse_the_whole(answer)
    found: dict[str, str] = {}
    for first in range(0, len(ids), PAGE):
        wanted = list(ids[first : first + PAGE])
        asked = {
            "query": {"ids": {"values": wanted}},
            "size": 2 * PAGE,
            "_source": ["eventId", "leafHash", "leavesHash"],
        }
        answer = client.post(
            Request(url=formats.at(endpoint, f"/{target.index}/_search"), headers=headers, body=orjson.dumps(asked))
        )
        formats.refuse_the_whole(answer)
        hits = formats.said(answer).get("hits")
        if answer.status != 200 or not isinstance(hits, dict) or not isinstance(hits.get("hits"), list):
            raise Away("answer_not_understood")
        for hit in hits["hits"]:
            source = hit.get("_source") or {}
            found[str(hit.get("_id"))] = str(source.get("leafHash") or source.get("leavesHash") or "")
    return found


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
