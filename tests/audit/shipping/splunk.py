"""Splunk as it is documented: the HTTP Event Collector, and searches at the management port."""

import json
import re
import time
from typing import Any
from urllib.parse import parse_qs

from tests.audit.shipping.receivers import SEARCH_TOKEN, TOKEN, Json, Receiver, require


class Splunk(Receiver):
    """HTTP Event Collector with indexer acknowledgement, and the export of searches at the management port's paths."""

    MOST_CONTENT = 800_000_000
    TRUNCATE = 10_000
    MOST_REPORTED = 500

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
        if len(body) > self.MOST_CONTENT:
            return 413, {}, {"text": "content-length too large", "code": 27}
        return self._events(body, channel)

    def _events(self, body: bytes, channel: str) -> tuple[int, Json, Any]:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return 400, {}, {"text": "Invalid data format", "code": 6, "invalid-event-number": 0}
        decoder, at, found = json.JSONDecoder(), 0, []
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
        taken = [{**event["event"], "_fields": event["fields"], "_time": event["time"]} for event in found]
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
                    self.keep(event["eventId"], event)
        return 200, {}, {"acks": states}

    def _export(self, headers: Any, body: bytes) -> tuple[int, Json, Any]:
        if headers.get("Authorization") != f"Bearer {SEARCH_TOKEN}":
            return 401, {}, {"messages": [{"type": "WARN", "text": "call not properly authenticated"}]}
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        require(set(asked) <= {"search", "output_mode", "preview", "earliest_time", "latest_time"}, str(set(asked)))
        require(asked["output_mode"] == "json", "json")
        searched, *commands = asked["search"].split(" | ")
        found = re.fullmatch(rf'search index="{self.index}" source="kaireon" kaireon_block::"([^"]+)"', searched)
        require(found, asked["search"])
        assert found
        begins, ends = self._moment(asked.get("earliest_time", "0")), self._moment(asked.get("latest_time", "now"))
        every, is_partial = self.searched()
        hits = [e for e in every if e["_fields"]["kaireon_block"] == found[1] and begins <= e["_time"] < ends]
        # Events come latest first.
        hits.sort(key=lambda event: -event["_time"])
        # With `truncate_report` in limits.conf, a transforming command cuts the results.
        if any(command.split()[0] in ("table", "stats", "dedup", "transaction") for command in commands):
            hits = hits[: self.MOST_REPORTED]
        lines: list[Json] = [
            {"preview": False, "offset": n, "result": self._result(event)}
            for n, event in enumerate(hits[: len(hits) // 2] if is_partial else hits)
        ]
        lines += [{"messages": [{"type": "WARN", "text": "Eventtype 'windows' does not exist or is disabled."}]}]
        if is_partial:
            lines += [{"messages": [{"type": "ERROR", "text": "[idx2] The search process on the peer ended."}]}]
        return 200, {}, b"".join(json.dumps(line).encode() + b"\n" for line in lines or [{"preview": False}])

    @staticmethod
    def _result(event: Json) -> Json:
        """`fields` keeps _raw and _time unless told otherwise."""
        raw = {name: value for name, value in event.items() if not name.startswith("_")}
        text = event.get("_raw") or json.dumps(raw, ensure_ascii=False, separators=(",", ":"))
        return {"kaireon_event": event["_fields"]["kaireon_event"], "_raw": text, "_time": str(event["_time"])}

    @staticmethod
    def _moment(said: str) -> float:
        """Absolute in seconds, `now`, or relative in years."""
        relative = re.fullmatch(r"([+-]\d+)y", said)
        if relative:
            return time.time() + int(relative[1]) * 365.25 * 86_400
        return time.time() if said == "now" else float(said)
