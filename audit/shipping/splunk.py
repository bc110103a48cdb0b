"""Splunk's HTTP Event Collector: events as JSON objects one behind the other, confirmed by indexer acknowledgement.

- Format events for HTTP Event Collector: `time` in seconds with milliseconds, `host`, `source`, `sourcetype`, `index`,
  `event`, `fields` (flat, indexed); several objects in one body, not in an array.
  https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector
- About HEC indexer acknowledgment: with a channel (X-Splunk-Request-Channel, a GUID) and a token that has it enabled,
  the answer has an `ackId`; POST /services/collector/ack?channel=… tells `{"acks": {"0": true}}` once it is indexed.
  A 200 alone says that the event was accepted, and it may still be lost on the way to the index.
  https://docs.splunk.com/Documentation/Splunk/latest/Data/AboutHECIDXAck
- Possible error codes: 0 success; 1 to 4 the token; 5 no data; 6 invalid data format, 12, 13, 15 an event, named by
  `invalid-event-number`; 7 incorrect index; 9 server is busy (503); 10, 11 the channel; 14 acknowledgement disabled.
  https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector
- Splunk's exporter of the OpenTelemetry collector posts there as gzip unless `disable_compression` says otherwise. What
  has that `Content-Encoding` is unpacked, so no other body goes with it.
  https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/splunkhecexporter
- props.conf: `TRUNCATE`, 10,000 bytes unless the sourcetype says otherwise, cuts longer events and says nothing. So
  that is the limit until the destination's `event_bytes` says that its sourcetype takes more.
  https://docs.splunk.com/Documentation/Splunk/latest/Admin/Propsconf
- Search endpoint: POST /services/search/jobs/export streams results as they are found, JSON objects in lines with
  output_mode=json, on the management port with a token of its own. It has no pages (`count`) and not the 50,000
  (`maxresultrows`) of a finished job's results; errors come in lines of `messages`, behind a 200. A warning is none:
  healthy search heads warn of much. https://docs.splunk.com/Documentation/Splunk/latest/RESTREF/RESTsearch
- Specify time modifiers: event time, the earliest inclusive, the latest exclusive and now when it is not given.
  https://docs.splunk.com/Documentation/Splunk/latest/Search/Specifytimemodifiersinyoursearch
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson

from audit.shipping import formats, marks
from audit.shipping.client import Answer, Away, Client, Request
from audit.shipping.destinations import SOURCETYPE, Target
from audit.shipping.formats import Envelope, Format, Found, NotSearchable, Place, Sought, Verdict

SOURCE = "kaireon"
COLLECTOR = "/services/collector/event"
ACK = "/services/collector/ack"
EXPORT = "/services/search/jobs/export"

_OF_AN_EVENT = {6: "invalid_data_format", 12: "event_required", 13: "event_blank", 15: "fields_invalid"}
_OF_THE_WHOLE = {5: "no_data", 7: "index_refused", 10: "channel_missing", 11: "channel_refused", 14: "ack_disabled"}
_SEARCH_SECONDS = 120.0
# Without `latest_time` it is now, and what a clock ahead dated later would not be found.
_ALL_TIME = {"earliest_time": "0", "latest_time": "+10y"}
# Of what is said between results: those are a part at most.
_FAILED = frozenset({"ERROR", "FATAL"})


def envelope(target: Target, log: str) -> Envelope:
    index = f'"index":"{target.index}",' if target.index else ""
    who = (
        f',"host":"{log.partition("/")[0]}","source":"{SOURCE}","sourcetype":"{target.sourcetype or SOURCETYPE}",'
        f'{index}"fields":{{"kaireon_event":"'
    )
    place = '","kaireon_block":"'
    return ('{"time":', Place.SECONDS, who, Place.EVENT, place, Place.BLOCK, '"},"event":{', Place.RECORD, "}}\n")


def request(bodies: Sequence[bytes], target: Target, channel: str) -> Request:
    headers = [*_headers(target, channel), ("Content-Type", "application/json")]
    return formats.request(target, formats.at(target.endpoint, COLLECTOR), headers, b"".join(bodies))


def judge(answer: Answer, ids: Sequence[str]) -> Verdict:
    """All or nothing: of a batch refused for one event nothing is taken for certain, so the rest comes again."""
    formats.refuse_the_whole(answer)
    if answer.status == 413:
        return Verdict(split="too_large")
    if answer.status == 400 and not answer.body.lstrip().startswith(b"{"):
        # Not the collector's own.
        raise Away("http_400")
    said = formats.said(answer)
    code = said.get("code")
    if answer.status == 200 and code == 0:
        ack = said.get("ackId")
        return Verdict(ack=ack if isinstance(ack, int) else None)
    if code in _OF_THE_WHOLE:
        raise Away(_OF_THE_WHOLE[code])
    if answer.status != 400:
        raise Away("answer_not_understood")
    name = _OF_AN_EVENT.get(code, "http_400") if isinstance(code, int) else "http_400"
    number = said.get("invalid-event-number")
    if isinstance(number, int) and 0 <= number < len(ids):
        return Verdict(refused={number: name}, again=[n for n in range(len(ids)) if n != number])
    return Verdict(split=name)


def acknowledged(client: Client, target: Target, channel: str, acks: Sequence[int]) -> set[int]:
    """Those of the acks that are indexed. Raises Away."""
    url = formats.at(_base(target.endpoint), ACK, urlencode({"channel": channel}))
    headers = [*_headers(target, channel), ("Content-Type", "application/json")]
    answer = client.post(Request(url=url, headers=headers, body=orjson.dumps({"acks": list(acks)})))
    formats.refuse_the_whole(answer)
    said = formats.said(answer)
    states = said.get("acks")
    if answer.status != 200 or not isinstance(states, dict):
        code = said.get("code")
        raise Away(
            _OF_THE_WHOLE.get(code, "answer_not_understood") if isinstance(code, int) else "answer_not_understood"
        )
    return {ack for ack in acks if states.get(str(ack)) is True}


def searchable(target: Target) -> None:
    if not (target.search_endpoint and target.search_key):
        raise NotSearchable(
            "Looking into Splunk needs its management port and a token that may search: set SIEM_SEARCH_ENDPOINT, such"
            " as https://splunk.example.com:8089, and SIEM_SEARCH_KEY, or the same of the destination."
        )


def find(client: Client, target: Target, sought: Sought) -> Found:
    index = f'index="{target.index}"' if target.index else "index=*"
    # Each command of it streams: what transforms, such as `table`, comes under the limits of reports.
    search = f'search {index} source="{SOURCE}" kaireon_block::"{sought.block}" | fields kaireon_event, _raw'
    asked = {"search": search, "output_mode": "json", "preview": "false", **_ALL_TIME}
    headers = [
        ("Authorization", f"Bearer {target.search_key}"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ]
    request = Request(url=formats.at(target.search_endpoint, EXPORT), headers=headers, body=urlencode(asked).encode())
    answer, found = client.lines(request, lambda line: _result(line, sought.look), seconds=_SEARCH_SECONDS)
    formats.refuse_the_whole(answer)
    if answer.status != 200:
        raise Away(f"http_{answer.status}")
    return found


def _result(line: bytes, look: Callable[[Mapping[str, Any]], str]) -> tuple[str, str] | None:
    """An event of the results; None when the line says something else. Raises Away."""
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Away("answer_not_understood") from error
    if not isinstance(said, dict):
        raise Away("answer_not_understood")
    messages = said.get("messages") or []
    if any(isinstance(one, dict) and one.get("type") in _FAILED for one in messages):
        raise Away("search_incomplete")
    result = said.get("result")
    if said.get("preview") or not isinstance(result, dict) or not result.get("kaireon_event"):
        return None
    try:
        seen = look(marks.parse(str(result.get("_raw"))))
    except marks.Ambiguous:
        seen = ""
    return str(result["kaireon_event"]), seen


def _headers(target: Target, channel: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Splunk {target.api_key}"), ("X-Splunk-Request-Channel", channel)]


def _base(endpoint: str) -> str:
    return endpoint.rstrip("/").removesuffix(COLLECTOR)


FORMAT = Format(
    event_bytes=10_000,
    body_bytes=4_000_000,
    as_text=False,
    between=b"",
    envelope=envelope,
    request=request,
    judge=judge,
    find=find,
    searchable=searchable,
    acknowledged=acknowledged,
)

__all__ = ["FORMAT"]
