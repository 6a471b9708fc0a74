"""Sends popularity to Elasticsearch through its official client (``pip install 'pathhits[elasticsearch]'``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elasticsearch import ApiError, TransportError

from pathhits.jobs.bulk import BulkFailed, BulkSink

__all__ = ["ElasticsearchSink"]


class ElasticsearchSink(BulkSink):
    """Updates documents of an index; ``client`` is the app's own `elasticsearch.Elasticsearch`.

    ``hits.popularity_sink(ElasticsearchSink(client, "products"), "product")``; see `BulkSink` for the arguments.
    """

    def _bulk(self, operations: list[dict[str, Any]]) -> Sequence[Any]:
        # Trying again is done here, document by document and within bounds.
        client = self._client.options(request_timeout=self._timeout, max_retries=0, retry_on_timeout=False)
        try:
            answer = client.bulk(operations=operations, index=self._index)
        except ApiError as error:
            raise BulkFailed(error.meta.status, error.message) from error
        except TransportError as error:
            raise BulkFailed(0, f"{type(error).__name__}: {error.message}") from error
        items: Sequence[Any] = answer["items"]
        return items
