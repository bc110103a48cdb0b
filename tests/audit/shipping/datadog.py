"""Datadog as it is documented: the intake of logs, and their search."""

import base64
import json
import re
import time
from typing import Any

from tests.audit.shipping.receivers import SEARCH_TOKEN, TOKEN, Json, Receiver, require


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
            require(now - 18 * 3_600_000 < log.get("date", now) < now + 2 * 3_600_000, "18 hours ago to 2 hours ahead")
            require(all(tag == tag.lower() and len(tag) <= 200 for tag in log["ddtags"].split(",")), log["ddtags"])
            if len(json.dumps(log, ensure_ascii=False, separators=(",", ":")).encode()) > self.MOST_LOG:
                self.truncated.append(log["kaireon"]["eventId"])
            self.take({**log["kaireon"], "_tags": log["ddtags"].split(","), "_date": log.get("date", now)})
        return 202, {}, {}

    def _search(self, headers: Any, body: bytes) -> tuple[int, Json, Any]:
        if headers.get("DD-APPLICATION-KEY") != SEARCH_TOKEN:
            return 403, {}, {"errors": ["Forbidden"]}
        asked = json.loads(body)
        require(asked["page"]["limit"] <= 1000, "a page has at most 1,000")
        found = re.fullmatch(r'service:kaireon-audit kaireon_block:"([^"]+)"', asked["filter"]["query"])
        assert found
        begins, ends = (int(asked["filter"][name]) for name in ("from", "to"))
        every, is_partial = self.searched()
        all_ = [e for e in every if f"kaireon_block:{found[1]}" in e["_tags"] and begins <= e["_date"] <= ends]
        all_.sort(key=lambda event: event["_date"])
        # A cursor goes on with the search that it came from, and with no other.
        search = json.dumps([asked["filter"]["query"], asked["sort"], asked["page"]["limit"]])
        start = 0
        if cursor := asked["page"].get("cursor"):
            said, number = base64.b64decode(cursor).decode().split("\n")
            require(said == search, "a cursor of another search")
            start = int(number)
        end = start + min(self.page, asked["page"]["limit"])
        if is_partial:
            return 200, {}, {"data": self._data(all_[start : end // 2]), "meta": {"status": "timeout"}}
        after = base64.b64encode(f"{search}\n{end}".encode()).decode()
        page = {"page": {"after": after}} if end < len(all_) else {}
        return 200, {}, {"data": self._data(all_[start:end]), "meta": {"status": "done", **page}}

    @staticmethod
    def _data(events: list[Json]) -> list[Json]:
        """Attributes that are null are not there."""
        kept = [{k: v for k, v in event.items() if v is not None and not k.startswith("_")} for event in events]
        return [
            {"id": str(n), "type": "log", "attributes": {"service": "x", "attributes": {"kaireon": event}}}
            for n, event in enumerate(kept)
        ]
