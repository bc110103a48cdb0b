"""Receivers as the vendors document them, over real HTTP on loopback: their authentication, limits, answers and faults.

Made from the documentation alone, without a line of the product. Each keeps every event it took, in the order in which
they came, and can be told to misbehave: see Faults.
"""

import gzip
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "11111111-2222-3333-4444-555555555555"
SEARCH_TOKEN = "search-token-of-the-test"

Json = dict[str, Any]


class ProtocolBroken(AssertionError):
    """The client did what the vendor's documentation forbids."""


@dataclass
class Faults:
    """What goes wrong, each until it is used up or taken back."""

    # Whole answers before any other look at the request: (status, headers, body).
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    # Events the receiver can never take, by event id's part, and what it says of them.
    refuses: Callable[[Json], bool] = lambda event: False
    # Events it takes only at the second try.
    throttles: Callable[[Json], bool] = lambda event: False
    # It answers as if all were well, and keeps nothing of what this says.
    loses: Callable[[Json], bool] = lambda event: False
    # Connections that are dropped: before the body is read, or after it was taken.
    drops_before: int = 0
    drops_after: int = 0
    # Seconds until it answers.
    sleeps: float = 0.0
    # Acknowledgements that never come.
    never_acks: bool = False


class Receiver:
    """`events` are the event objects in order of arrival, copies too; `stored` what a search would find."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.events: list[Json] = []
        self.stored: dict[str, Json] = {}
        self.requests: list[str] = []
        self.raw: list[bytes] = []
        self.broken: list[str] = []
        self.throttled: set[str] = set()
        self.lock = threading.RLock()
        self.url = ""

    # What a vendor's class fills in: gives (status, headers, body).
    def handle(self, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Json, Any]:
        raise NotImplementedError

    def take(self, event: Json) -> None:
        name = event["eventId"]
        self.events.append(event)
        if not self.faults.loses(event):
            self.stored.setdefault(name, event)

    # -- what tests ask ------------------------------------------------------------------------------------------------

    def records(self, tenant: str | None = None) -> list[Json]:
        """Records in the order in which they first arrived."""
        seen: dict[str, Json] = {}
        for event in self.events:
            if event["kind"] == "record" and tenant in (None, event["tenantId"]):
                seen.setdefault(event["eventId"], event)
        return list(seen.values())

    def seqs(self, tenant: str) -> list[int]:
        return [event["seq"] for event in self.records(tenant)]

    def kept(self, tenant: str) -> list[int]:
        return sorted(e["seq"] for e in self.stored.values() if e["kind"] == "record" and e["tenantId"] == tenant)

    def receipts(self, tenant: str) -> list[Json]:
        return [e for e in self.stored.values() if e["kind"] == "receipt" and e["tenantId"] == tenant]

    def lose(self, seq: int, tenant: str) -> None:
        """Delete a record that was stored."""
        [name] = [n for n, e in self.stored.items() if e.get("seq") == seq and e["tenantId"] == tenant]
        del self.stored[name]


def require(condition: object, what: str) -> None:
    if not condition:
        raise ProtocolBroken(what)


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


class Datadog(Receiver):
    """Log intake v2, and the search of logs v2."""

    MOST_BODY = 5_000_000
    MOST_LOG = 1_000_000
    MOST_LOGS = 1000

    def __init__(self) -> None:
        super().__init__()
        self.truncated: list[str] = []
        self.page = 400

    def handle(self, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Json, Any]:
        if not headers.get("DD-API-KEY"):
            return 401, {}, {"errors": [{"status": "401", "title": "Unauthorized"}]}
        if headers["DD-API-KEY"] != TOKEN:
            return 403, {}, {"errors": [{"status": "403", "title": "Forbidden"}]}
        if path == "/api/v2/logs/events/search":
            return self._search(headers, body)
        require(path == "/api/v2/logs", path)
        require(headers.get("Content-Type") == "application/json", "json")
        if len(body) > self.MOST_BODY:
            return 413, {}, {"errors": [{"status": "413", "title": "Payload too large"}]}
        logs = json.loads(body)
        require(isinstance(logs, list) and logs, "an array of logs")
        if len(logs) > self.MOST_LOGS or any(self.faults.refuses(log["kaireon"]) for log in logs):
            return 400, {}, {"errors": [{"status": "400", "title": "Bad Request"}]}
        now = time.time() * 1000
        for log in logs:
            require("date" not in log or log["date"] > now - 18 * 3_600_000, "older than 18 hours")
            require(all(tag == tag.lower() and len(tag) <= 200 for tag in log["ddtags"].split(",")), log["ddtags"])
            if len(json.dumps(log, ensure_ascii=False, separators=(",", ":")).encode()) > self.MOST_LOG:
                self.truncated.append(log["kaireon"]["eventId"])
            self.take({**log["kaireon"], "_tags": log["ddtags"].split(",")})
        return 202, {}, {}

    def _search(self, headers: Any, body: bytes) -> tuple[int, Json, Any]:
        if headers.get("DD-APPLICATION-KEY") != SEARCH_TOKEN:
            return 403, {}, {"errors": ["Forbidden"]}
        asked = json.loads(body)
        require(asked["page"]["limit"] <= 1000, "a page has at most 1,000")
        found = re.fullmatch(r'service:kaireon-audit kaireon_block:"([^"]+)"', asked["filter"]["query"])
        assert found
        all_ = [e for e in self.stored.values() if f"kaireon_block:{found[1]}" in e["_tags"]]
        start = int(asked["page"].get("cursor", 0))
        page = all_[start : start + self.page]
        more = start + self.page < len(all_)
        data = [
            {"id": e["eventId"], "type": "log", "attributes": {"service": "x", "attributes": {"kaireon": e}}}
            for e in page
        ]
        return 200, {}, {"data": data, "meta": {"page": {"after": str(start + self.page)} if more else {}}}


class Elastic(Receiver):
    """_bulk, _search by ids and _refresh of one index."""

    MOST_BODY = 100_000_000

    def __init__(self, index: str = "audit") -> None:
        super().__init__()
        self.index = index
        self.visible: set[str] = set()

    def handle(self, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Json, Any]:
        if headers.get("Authorization") != f"ApiKey {TOKEN}":
            return 401, {}, {"error": {"type": "security_exception"}, "status": 401}
        index, _, what = unquote(path).strip("/").partition("/")
        if index != self.index:
            return 404, {}, {"error": {"type": "index_not_found_exception"}, "status": 404}
        if what == "_refresh":
            self.visible = set(self.stored)
            return 200, {}, {"_shards": {"failed": 0}}
        if what == "_search":
            asked = json.loads(body)
            require(asked["size"] <= 10_000, "index.max_result_window")
            wanted = asked["query"]["ids"]["values"]
            hits = [
                {"_id": name, "_source": {k: v for k, v in self.stored[name].items() if k in asked["_source"]}}
                for name in wanted
                if name in self.stored and name in self.visible
            ]
            return 200, {}, {"hits": {"total": {"value": len(hits)}, "hits": hits[: asked["size"]]}}
        require(what == "_bulk", what)
        require(headers.get("Content-Type") == "application/x-ndjson", "NDJSON")
        require(body.endswith(b"\n"), "the last line ends with a newline too")
        if len(body) > self.MOST_BODY:
            return 413, {}, {}
        return self._bulk(body.decode().split("\n")[:-1])

    def _bulk(self, lines: list[str]) -> tuple[int, Json, Any]:
        require(len(lines) % 2 == 0, "action and source, in pairs")
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            meta = json.loads(action)["create"]
            event = json.loads(source)
            name = meta["_id"]
            require(len(name.encode()) <= 512, "an id has at most 512 bytes")
            require("@timestamp" in event, "data streams want @timestamp")
            require(not any(isinstance(value, dict | list) for key, value in event.items() if key != "omitted"), "flat")
            if self.faults.refuses(event):
                items.append(self._item(name, 400, "document_parsing_exception"))
            elif self.faults.throttles(event) and name not in self.throttled:
                self.throttled.add(name)
                items.append(self._item(name, 429, "es_rejected_execution_exception"))
            elif name in self.stored:
                self.events.append(event)
                items.append(self._item(name, 409, "version_conflict_engine_exception"))
            else:
                self.take(event)
                items.append(self._item(name, 201))
        return 200, {}, {"errors": any(i["create"]["status"] >= 300 for i in items), "items": items}

    @staticmethod
    def _item(name: str, status: int, error: str = "") -> Json:
        said: Json = {"_id": name, "status": status}
        return {"create": {**said, "error": {"type": error}} if error else said}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: ClassVar[Receiver]

    def do_POST(self) -> None:
        faults = self.receiver.faults
        if faults.drops_before > 0:
            faults.drops_before -= 1
            self.close_connection = True
            self.connection.close()
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path)
        with self.receiver.lock:
            self.receiver.requests.append(parts.path)
            self.receiver.raw.append(body)
            if faults.sleeps:
                time.sleep(faults.sleeps)
            if faults.answers:
                status, headers, said = faults.answers.pop(0)
            else:
                status, headers, said = self._handled(parts.path, parse_qs(parts.query), body)
        if faults.drops_after > 0:
            faults.drops_after -= 1
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _handled(self, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
            self.receiver.raw[-1] = body
        try:
            status, headers, said = self.receiver.handle(path, query, self.headers, body)
        except (ProtocolBroken, AssertionError, KeyError, ValueError) as error:
            self.receiver.broken.append(repr(error))
            return 400, {}, b"{}"
        return status, headers, said if isinstance(said, bytes) else json.dumps(said).encode()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class calls it so
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever is dropped, or killed, is no error here."""


R = Any


@contextmanager
def listening(receiver: R) -> Iterator[R]:
    """It listens until the block ends; then nothing that it was sent may have broken the protocol."""
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert receiver.broken == []
