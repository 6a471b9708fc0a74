"""A search engine of the tests' own, as far as ``_bulk`` goes: real HTTP, and it refuses what breaks the protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

#: What the two clients call newline-delimited JSON.
NDJSON = ("application/x-ndjson", "application/vnd.elasticsearch+x-ndjson", "application/json")


class BulkServer:
    """Holds documents by index and id. ``problems`` is what was wrong with requests, ``sizes`` their documents.

    ``whole`` are statuses for the next requests, ``single`` makes the status of a document and try (0: it is taken).
    """

    def __init__(self, product: str = "Elasticsearch") -> None:
        self.product = product
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.whole: list[int] = []
        self.single: Callable[[str, int], int] = lambda identity, attempt: 0
        self.largest = 10**9
        self.tries: dict[str, int] = {}
        self.sizes: list[int] = []
        self.problems: list[str] = []

    def __enter__(self) -> Self:
        server: BulkServer = self

        class Handler(_Handler):
            bulk = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def answer(self, path: str, content_type: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON for one POST."""
        if self.whole:
            status = self.whole.pop(0)
            return status, {"error": {"type": "made", "reason": f"made to fail with {status}"}, "status": status}
        index, operations = self._parsed(path, content_type, body)
        self.sizes.append(len(operations))
        if len(operations) > self.largest:
            return 413, {"error": "too large", "status": 413}
        items = [{"update": self._update(index, *operation)} for operation in operations]
        return 200, {"took": 1, "errors": any(i["update"]["status"] >= 300 for i in items), "items": items}

    def _parsed(self, path: str, content_type: str, body: bytes) -> tuple[str, list[tuple[str, Any]]]:
        parts = urlsplit(path).path.strip("/").split("/")
        self._expect(len(parts) == 2 and parts[1] == "_bulk", f"path {path}")
        self._expect(content_type.partition(";")[0] in NDJSON, f"content type {content_type}")
        self._expect(body.endswith(b"\n"), "the last line is not ended")
        lines = body.decode().split("\n")[:-1]
        self._expect(len(lines) % 2 == 0, "an action without its document")
        operations = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            [(verb, meta)] = json.loads(action).items()
            self._expect(verb == "update" and meta.keys() == {"_id"} and bool(meta["_id"]), f"action {action}")
            self._expect(json.loads(source).keys() <= {"doc", "doc_as_upsert"}, f"source {source}")
            operations.append((meta["_id"], json.loads(source)))
        return parts[0], operations

    def _update(self, index: str, identity: str, source: Any) -> dict[str, Any]:
        self.tries[identity] = self.tries.get(identity, 0) + 1
        status = self.single(identity, self.tries[identity])
        there = (index, identity) in self.documents
        if not status and not there and not source.get("doc_as_upsert"):
            status = 404
        if status:
            return {"_index": index, "_id": identity, "status": status, "error": {"type": "made", "reason": "made"}}
        self.documents.setdefault((index, identity), {}).update(source["doc"])
        return {"_index": index, "_id": identity, "status": 200 if there else 201, "result": "updated"}

    def _expect(self, held: bool, problem: str) -> None:
        if not held:
            self.problems.append(problem)


class _Handler(BaseHTTPRequestHandler):
    bulk: BulkServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, found = self.bulk.answer(self.path, self.headers.get("Content-Type", ""), body)
        text = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.elasticsearch+json;compatible-with=9"
                         if self.bulk.product == "Elasticsearch" else "application/json")  # fmt: skip
        self.send_header("X-Elastic-Product", self.bulk.product)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_PUT = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test says what it saw."""
