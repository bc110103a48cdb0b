"""Elasticsearch as it is documented: _bulk, _refresh and _search."""

import json
from typing import Any
from urllib.parse import unquote

from tests.audit.shipping.receivers import TOKEN, Json, Receiver, require


class Elastic(Receiver):
    """_bulk, _search by ids and _refresh of one index."""

    MOST_BODY = 100_000_000

    def __init__(self, index: str = "audit") -> None:
        super().__init__()
        self.index = index
        self.visible: set[str] = set()
        self.copies_visible = 0
        # In indices of the data stream that are no longer written to.
        self.older: set[str] = set()

    def roll_over(self) -> None:
        """From now on another index is written to, which knows none of these ids."""
        self.older = set(self.stored)

    def handle(self, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Json, Any]:
        if headers.get("Authorization") != f"ApiKey {TOKEN}":
            return 401, {}, {"error": {"type": "security_exception"}, "status": 401}
        index, _, what = unquote(path).strip("/").partition("/")
        if index != self.index:
            return 404, {}, {"error": {"type": "index_not_found_exception"}, "status": 404}
        if what == "_refresh":
            self.visible, self.copies_visible = set(self.stored), len(self.copies)
            return 200, {}, {"_shards": {"total": 2, "successful": 2, "failed": 0}}
        if what == "_search":
            return self._search(query, json.loads(body))
        require(what == "_bulk", what)
        require(headers.get("Content-Type") == "application/x-ndjson", "NDJSON")
        require(body.endswith(b"\n"), "the last line ends with a newline too")
        if len(body) > self.MOST_BODY:
            return 413, {}, {}
        return self._bulk(body.decode().split("\n")[:-1])

    def _search(self, query: dict[str, list[str]], asked: Json) -> tuple[int, Json, Any]:
        require(asked["size"] <= 10_000, "index.max_result_window")
        every, is_partial = self.searched()
        copies = self.copies[: self.copies_visible]
        found = [
            {"_id": e.get("_id", e["eventId"]), "_source": self._source(e, asked["_source"])}
            for e in every
            if (any(e is copy for copy in copies) or e["eventId"] in self.visible)
            and self._fits(e.get("_id", e["eventId"]), e, asked["query"])
        ]
        if is_partial and query.get("allow_partial_search_results") == ["false"]:
            return 503, {}, {"error": {"type": "search_phase_execution_exception"}, "status": 503}
        total = len(found)
        shards = {"total": 2, "successful": 2 - is_partial, "failed": int(is_partial)}
        hits = found[: total // 2 if is_partial else asked["size"]]
        said = {"total": {"value": total, "relation": "eq"}, "hits": hits}
        return 200, {}, {"timed_out": False, "_shards": shards, "hits": said}

    @staticmethod
    def _source(event: Json, wanted: Any) -> Json:
        return {k: v for k, v in event.items() if not k.startswith("_") and (wanted is True or k in wanted)}

    @classmethod
    def _fits(cls, name: str, event: Json, query: Json) -> bool:
        [(kind, said)] = query.items()
        if kind == "ids":
            return name in said["values"]
        if kind == "match_phrase":
            return all(event.get(field) == value for field, value in said.items())
        require(kind == "bool" and set(said) <= {"must", "must_not"}, kind)
        return all(cls._fits(name, event, one) for one in said["must"]) and not any(
            cls._fits(name, event, one) for one in said["must_not"]
        )

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
            elif name in self.stored and name not in self.older:
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
