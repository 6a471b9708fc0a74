"""The OpenAPI 3.1 document, made of the table of endpoints and the dataclasses they answer with."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Literal, Union, get_args, get_origin

from pathhits import __version__
from pathhits.dashboard.api import problems
from pathhits.dashboard.api.endpoints import ENDPOINTS, Endpoint, Parameter
from pathhits.dashboard.api.ingestion import BATCH_SCHEMA, RECEIPT_SCHEMA
from pathhits.dashboard.api.shapes import types_of

_PLAIN: dict[Any, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
    types.NoneType: {"type": "null"},
    Any: {},
}
_ERRORS = {
    "400": "A parameter cannot be meant; ``field`` names it.",
    "401": "There is no key, or it is not known.",
    "403": "The dashboard is closed, or the key may not do this.",
    "406": "Neither JSON nor CSV is accepted.",
    "503": "Redis or SQL does not answer.",
}


def document(url: str = "/_pathhits/api/v1") -> dict[str, Any]:
    """The document of the API that is served at ``url``."""
    components: dict[str, Any] = {
        "Problem": problems.SCHEMA,
        "EventBatch": BATCH_SCHEMA,
        "EventReceipt": RECEIPT_SCHEMA,
    }
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths[f"/{endpoint.name}"] = {"get": _operation(endpoint, components)}
    paths["/events"]["post"] = _ingestion()
    for name in ("json", "csv"):
        paths |= _suffixed(name, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pathhits",
            "version": __version__,
            "description": "What a site counted. Lists are paged alike, periods and filters are the same everywhere.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": url}],
        "security": [{"bearer": []}, {"header": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key of `pathhits key add`."},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def schema_of(kind: Any, components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a type; dataclasses are added to ``components``."""
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(one, components) for one in arguments]}
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": schema_of(arguments[0], components)}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema_of(arguments[1], components)}
    if not is_dataclass(kind) or not isinstance(kind, type):
        raise TypeError(f"{kind!r} has no schema")
    if kind.__name__ not in components:
        components[kind.__name__] = {}
        components[kind.__name__] = _object(kind, components)
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _object(kind: type, components: dict[str, Any]) -> dict[str, Any]:
    names = [one.name for one in fields(kind)]
    hints = types_of(kind)
    return {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "properties": {name: schema_of(hints[name], components) for name in names},
        "required": names,
        "additionalProperties": False,
    }


def _operation(endpoint: Endpoint, components: dict[str, Any], only: str = "") -> dict[str, Any]:
    contents = {
        "json": ("application/json", {"schema": schema_of(endpoint.shape, components)}),
        "csv": ("text/csv", {"schema": {"type": "string"}}),
    }
    return {
        "operationId": f"{endpoint.name}{only.capitalize()}",
        "summary": endpoint.help,
        "parameters": [_parameter(one) for one in endpoint.parameters],
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": dict(content for name, content in contents.items() if only in ("", name)),
            },
            "304": {"description": "It is as it was."},
            **_problems(*(status for status in _ERRORS if not (only and status == "406"))),
        },
    }


def _suffixed(name: str, components: dict[str, Any]) -> dict[str, Any]:
    return {f"/{one.name}.{name}": {"get": _operation(one, components, name)} for one in ENDPOINTS}


def _ingestion() -> dict[str, Any]:
    return {
        "operationId": "ingest",
        "summary": "Take in events of other services, up to 1,000 at once; one with a key is taken once a day.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/EventBatch"}}},
        },
        "responses": {
            "202": {
                "description": "What was taken, and what was not, and why.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/EventReceipt"}}},
            },
            **_problems("400", "401", "403", "413", "415", "503"),
        },
    }


def _parameter(one: Parameter) -> dict[str, Any]:
    return {"name": one.name, "in": "query", "required": one.required, "description": one.help, "schema": one.schema}


def _problems(*statuses: str) -> dict[str, Any]:
    more = {"413": "The batch is too large.", "415": "It is no JSON."}
    content = {problems.CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": (_ERRORS | more)[status].replace("``", "`"), "content": content} for status in statuses
    }
