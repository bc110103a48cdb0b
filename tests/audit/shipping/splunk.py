"""Splunk as it is documented: the HTTP Event Collector, and searches at the management port."""

import json
import re
from typing import Any
from urllib.parse import parse_qs

from tests.audit.shipping.receivers import SEARCH_TOKEN, TOKEN, Json, Receiver, require


class Splunk(Receiver):
    """HTTP Event Collector with indexer acknowledgement, and the export of searches at the management port's paths."""

    MOST_CONTENT = 800_000_000
    TRUNCATE = 10_000

    def __init__(self, *, acks: bool = True, index: str = "audit") -> None:
        super().__init__()
        self.gives_acks = acks
        self.index = index
        self.next_ack: dict[str, int] = {}
        self.pending: dict[tuple[str, int], list[Json]] = {}

    def handle(self, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Json, Any]:
        if path == "/services/search/jobs/export":
            return self._export(headers, body)
        said = headers.get("Authorization", "")
        if not said:
            return 401, {}, {"text": "Token is required", "code": 2}
        if not said.startswith("Splunk "):
            return 401, {}, {"text": "Invalid authorization", "code": 3}
        if said != f"Splunk {TOKEN}":
            return 403, {}, {"text": "Invalid token", "code": 4}
        if path == "/services/collector/ack":
            return self._ack(query, headers, body)
        require(path == "/services/collector/event", path)
        channel = headers.get("X-Splunk-Request-Channel", "")
        if self.gives_acks and not channel:
            return 400, {}, {"text": "Data channel is missing", "code": 10}
        if channel and not re.fullmatch(r"[0-9a-f-]{36}", channel):
            return 400, {}, {"text": "Invalid data channel", "code": 11}
        require(headers.get("Content-Encoding") is None, "gzip is not documented for the event endpoint")
        if len(body) > self.MOST_CONTENT:
            return 413, {}, {"text": "content-length too large", "code": 27}
        return self._events(body, channel)

    def _events(self, body: bytes, channel: str) -> tuple[int, Json, Any]:
        decoder, text, at, found = json.JSONDecoder(), body.decode(), 0, []
        while at < len(text):
            if text[at].isspace():
                at += 1
                continue
            start = at
            try:
                event, at = decoder.raw_decode(text, at)
            except ValueError:
                return 400, {}, {"text": "Invalid data format", "code": 6, "invalid-event-number": len(found)}
            require(isinstance(event, dict), "batches are objects one behind the other, not an array")
            found.append(event)
            require(at > start, "progress")
        if not found:
            return 400, {}, {"text": "No data", "code": 5}
        for number, event in enumerate(found):
            require(set(event) <= {"time", "host", "source", "sourcetype", "index", "fields", "event"}, str(set(event)))
            if "event" not in event:
                return 400, {}, {"text": "Event field is required", "code": 12, "invalid-event-number": number}
            if event.get("index", self.index) != self.index:
                return 400, {}, {"text": "Incorrect index", "code": 7, "invalid-event-number": number}
            require(all(isinstance(v, str) for v in event["fields"].values()), "fields are flat")
            require(isinstance(event["time"], float) and 1e9 < event["time"] < 1e10, "time is in seconds")
            if self.faults.refuses(event["event"]):
                return 400, {}, {"text": "Invalid data format", "code": 6, "invalid-event-number": number}
        for event in found:
            raw = json.dumps(event["event"], ensure_ascii=False, separators=(",", ":"))
            require(len(raw.encode()) <= self.TRUNCATE, "an event beyond TRUNCATE is cut without a word")
        taken = [{**event["event"], "_fields": event["fields"]} for event in found]
        if not self.gives_acks:
            for event in taken:
                self.take(event)
            return 200, {}, {"text": "Success", "code": 0}
        ack = self.next_ack.get(channel, 0)
        self.next_ack[channel] = ack + 1
        self.pending[channel, ack] = taken
        self.events += taken
        return 200, {}, {"text": "Success", "code": 0, "ackId": ack}

    def _ack(self, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Json, Any]:
        [channel] = query.get("channel") or [headers.get("X-Splunk-Request-Channel", "")]
        if not self.gives_acks:
            return 400, {}, {"text": "ACK is disabled", "code": 14}
        if not channel:
            return 400, {}, {"text": "Data channel is missing", "code": 10}
        states = {}
        for ack in json.loads(body)["acks"]:
            pending = self.pending.get((channel, ack))
            states[str(ack)] = pending is not None and not self.faults.never_acks
            if states[str(ack)]:
                # Indexed now; asked again, the answer would be false.
                for event in self.pending.pop((channel, ack)):
                    if not self.faults.loses(event):
                        self.stored.setdefault(event["eventId"], event)
        return 200, {}, {"acks": states}

    def _export(self, headers: Any, body: bytes) -> tuple[int, Json, Any]:
        if headers.get("Authorization") != f"Bearer {SEARCH_TOKEN}":
            return 401, {}, {"messages": [{"type": "WARN", "text": "call not properly authenticated"}]}
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        require(asked["output_mode"] == "json", "json")
        require(asked["search"].startswith(f'search index="{self.index}" source="kaireon" '), asked["search"])
        found = re.search(r'kaireon_block::"([^"]+)"', asked["search"])
        assert found
        lines = [
            {
                "preview": False,
                "offset": n,
                "result": {
                    "kaireon_event": event["_fields"]["kaireon_event"],
                    "hash": event.get("leafHash") or event.get("leavesHash"),
                },
            }
            for n, event in enumerate(e for e in self.stored.values() if e["_fields"]["kaireon_block"] == found[1])
        ]
        return 200, {}, b"".join(json.dumps(line).encode() + b"\n" for line in lines) or b'{"preview":false}\n'
