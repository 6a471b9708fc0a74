"""Sends documents to a search engine by its ``_bulk``: in requests of bounded size, what is refused for now again.

It knows the protocol that Elasticsearch and OpenSearch share, and no client: integrations/ has those.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pathhits.core.backoff import back_off
from pathhits.core.popularity import ItemPopularity
from pathhits.errors import PathHitsError

logger = logging.getLogger("pathhits")

#: Documents, and bytes of JSON, of one request.
DOCUMENTS = 500
REQUEST_SIZE = 4 * 1024 * 1024
#: Tries of a document, and the first wait (s) between them, which doubles.
TRIES = 4
FIRST_WAIT = 0.5
LONGEST_WAIT = 10.0
#: Statuses after which the same may succeed: conflict, too many requests, server or gateway away for the moment.
BUSY = frozenset({409, 429, 500, 502, 503, 504})
TOO_LARGE = 413
#: Characters of a reason that are told.
REASON_LENGTH = 200
#: There is no such document, and none is to be made.
MISSING = 404


class BulkFailed(Exception):
    """A request failed as a whole; ``status`` is that of HTTP, 0 where no answer came."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status or 'no answer'}: {' '.join(reason.split())[:REASON_LENGTH]}")
        self.status = status


class Document(NamedTuple):
    """One document: its id in the index, and the fields that are set."""

    id: str
    fields: dict[str, Any]


class BulkSink:
    """A popularity sink that updates documents of an index; a client is given by `_bulk`.

    ``document_id`` makes the id of a document from an item, by default the item's own id; ``fields`` makes what is set,
    by default its popularity, views and counters. Only with ``upsert`` is a document made that is not there.
    """

    def __init__(
        self,
        client: Any,
        index: str,
        *,
        document_id: Callable[[ItemPopularity], str] = lambda item: item.item_id,
        fields: Callable[[ItemPopularity], dict[str, Any]] = ItemPopularity.as_dict,
        upsert: bool = False,
        timeout: float = 30.0,
        name: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name or f"index {index}"
        self._client = client
        self._index = index
        self._document_id = document_id
        self._fields = fields
        self._upsert = upsert
        self._timeout = timeout
        self._sleep = sleep

    def send(self, items: Sequence[ItemPopularity]) -> None:
        """Update their documents; raises `PathHitsError` when some were refused for now, each time.

        What is refused for good (a mapping does not take it) is logged and left out, as it would be each time.
        """
        documents = [Document(self._document_id(item), self._fields(item)) for item in items]
        for some in _chunks(documents):
            self._send(some)

    def _send(self, documents: Sequence[Document]) -> None:
        waiting, reason = list(documents), ""
        for attempt in range(1, TRIES + 1):
            try:
                waiting, reason = self._sorted_out(waiting, self._bulk(self._operations(waiting)))
            except BulkFailed as error:
                if error.status == TOO_LARGE and len(waiting) > 1:
                    middle = len(waiting) // 2
                    self._send(waiting[:middle])
                    self._send(waiting[middle:])
                    return
                if error.status not in BUSY and error.status:
                    raise PathHitsError(f"{self._index}: {error}") from error
                reason = str(error)
            if not waiting:
                return
            if attempt < TRIES:
                self._sleep(back_off(attempt, FIRST_WAIT, LONGEST_WAIT))
        raise PathHitsError(f"{self._index}: {len(waiting)} documents were not taken: {reason}")

    def _bulk(self, operations: list[dict[str, Any]]) -> Sequence[Any]:
        """The ``items`` of the answer to one request, in the order of its documents; raises `BulkFailed`."""
        raise NotImplementedError

    def _operations(self, documents: Sequence[Document]) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        for document in documents:
            lines += (
                {"update": {"_id": document.id}},
                {"doc": document.fields, **({"doc_as_upsert": True} if self._upsert else {})},
            )
        return lines

    def _sorted_out(self, sent: Sequence[Document], answers: Sequence[Any]) -> tuple[list[Document], str]:
        """What has to be sent again, and why."""
        again, reason = [], ""
        if len(answers) != len(sent):
            raise BulkFailed(0, f"{len(answers)} answers to {len(sent)} documents")
        for document, answer in zip(sent, answers, strict=True):
            result = answer.get("update", {}) if isinstance(answer, dict) else {}
            status = result.get("status", 0)
            if status in BUSY or not status:
                again.append(document)
                reason = f"{status}: {_reason(result)}"
            elif status == MISSING:
                logger.debug("%s: no document %s", self._index, document.id)
            elif status >= 300:
                logger.warning("%s refused document %s for good: %s", self._index, document.id, _reason(result))
        return again, reason


def _chunks(documents: Sequence[Document]) -> Iterator[list[Document]]:
    some: list[Document] = []
    size = 0
    for document in documents:
        # The line of the action has the id and some sixty bytes more.
        length = len(json.dumps(document.fields)) + len(document.id) + 60
        if some and (len(some) == DOCUMENTS or size + length > REQUEST_SIZE):
            yield some
            some, size = [], 0
        some.append(document)
        size += length
    if some:
        yield some


def _reason(result: Any) -> str:
    error = result.get("error")
    return str(error.get("reason") or error.get("type")) if isinstance(error, dict) else str(error)
