"""Sends popularity to OpenSearch through its official client (``pip install 'pathhits[opensearch]'``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opensearchpy.exceptions import TransportError

from pathhits.jobs.bulk import BulkFailed, BulkSink

__all__ = ["OpenSearchSink"]


class OpenSearchSink(BulkSink):
    """Updates documents of an index; ``client`` is the app's own `opensearchpy.OpenSearch`.

    ``hits.popularity_sink(OpenSearchSink(client, "products"), "product")``; see `BulkSink` for the arguments.
    The client tries by itself as often as its ``max_retries`` says, so make it with ``max_retries=0``.
    """

    def _bulk(self, operations: list[dict[str, Any]]) -> Sequence[Any]:
        try:
            answer = self._client.bulk(body=operations, index=self._index, request_timeout=self._timeout)
        except TransportError as error:
            status = error.status_code if isinstance(error.status_code, int) else 0
            raise BulkFailed(status, str(error.error)) from error
        items: Sequence[Any] = answer["items"]
        return items
