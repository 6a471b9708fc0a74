"""The OpenAPI document is one, and whatever it allows is answered as it says: never 5xx, never another shape.

Some requests an operation here; ``API_EXAMPLES=500`` makes it thousands.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pathhits import PathHits
from pathhits.dashboard.api.endpoints import ENDPOINTS
from pathhits.dashboard.api.openapi import document

EXAMPLES = int(os.environ.get("API_EXAMPLES", "8"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_the_document_is_valid_and_has_every_endpoint() -> None:
    found = document()
    validate(found)
    for endpoint in ENDPOINTS:
        assert {f"/{endpoint.name}", f"/{endpoint.name}.json", f"/{endpoint.name}.csv"} <= found["paths"].keys()
        assert all(one.get("description") for one in found["paths"][f"/{endpoint.name}"]["get"]["parameters"])


@pytest.fixture(scope="module")
def site(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """A dashboard with some counts in it, and a key that may do all."""
    folder = tmp_path_factory.mktemp("api")
    hits = PathHits(
        redis_url=redis_server.url_of(0),
        database_url=f"sqlite:///{folder / 'api.db'}",
        namespace="openapi",
        dashboard_password="a long password",
    )
    hits.migrate()
    for label in ("/", "/a", "=1+1", "<script>"):
        hits.track_hit(label)
    hits.track("product.liked", 7)
    hits.track("search.performed", properties={"query": "tea", "results": 0})
    hits.flush()
    hits.sync()
    hits.track_hit("/a")
    hits.flush()
    yield hits.dashboard(), hits.api_keys.add("all", ("read", "write"))
    hits.close(0.1)


def operations() -> list[Any]:
    """Every operation of the document."""
    schema: Any = schemathesis.openapi.from_dict(document("/api/v1"))
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.slow
@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.label)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_the_document_allows_is_answered_as_it_says(
    operation: Any, mode: GenerationMode, site: tuple[Any, str], data: st.DataObject
) -> None:
    """Slow, as it makes hundreds of requests."""
    app, key = site
    case = data.draw(operation.as_strategy(generation_mode=mode))
    response = case.call(app=app, headers={"X-API-Key": key})
    case.validate_response(response, checks=CHECKS)
