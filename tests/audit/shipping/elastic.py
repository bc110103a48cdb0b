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
