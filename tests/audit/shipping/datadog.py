"""Datadog as it is documented: the intake of logs, and their search."""

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
