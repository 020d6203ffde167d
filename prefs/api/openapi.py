"""OpenAPI 3.1 of the API."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from prefs.api import bodies, problems, schemas
from prefs.domains import Schema

_KEY: Schema = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "The user's key as PostgreSQL prints it, or `me` for who asks.",
    "schema": {"type": "string"},
    "example": "me",
}
# One entity tag, and a list of them (RFC 9110, section 8.8.3), in what a header can be sent as.
_TAG = r'(W/)?"[!#-~]*"'
_TAGS: Schema = {
    "anyOf": [{"const": "*"}, {"type": "string", "pattern": f"^{_TAG}( *, *{_TAG})*$"}]
}
_IF_MATCH: Schema = {
    "name": "If-Match",
    "in": "header",
    "description": "ETags that were read, or `*`: the document has to be one of them.",
    "schema": _TAGS,
    "example": "*",
}
_IF_NONE_MATCH: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "description": "ETags that are known: 304 where the document is one of them.",
    "schema": _TAGS,
}
_ETAG: Schema = {
    "description": "The quoted SHA-256 of the text: strong, and the same in every route.",
    "schema": {"type": "string", "pattern": '^"[0-9a-f]{64}"$'},
}
_WHAT_IS_WRONG = {
    400: "The body, a header or a setting in the document is wrong; nothing was written.",
    401: "Nobody is logged in.",
    403: "Another's document without permission, or a write without its CSRF token.",
    404: "There is no such user.",
    405: "The address has no such method.",
    406: "The header Accept leaves out what is answered.",
    412: "The document is another one than If-Match names.",
    413: "The body, or the document that it would make, is too long.",
    415: "The body is not sent as what the method takes.",
    428: "This site requires If-Match.",
    503: "The migration is not in order; nothing was read or written.",
    507: "The document is stored, but its text is longer than PostgreSQL can build.",
}
_READING = (400, 401, 403, 404, 405, 406, 412, 503, 507)
_WRITING = (*_READING, 413, 415, 428)


def openapi(root: str) -> dict[str, Any]:
    """The description of the API, mounted at `root`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Preferences of users",
            "version": "1",
            "description": "Exact: what is stored is what was sent, and is served as it is.",
        },
        "jsonSchemaDialect": schemas.DIALECT,
        "servers": [{"url": root}],
        "security": [{"session": []}],
        "paths": {
            "/api/users/{key}/preferences/": _document(),
            "/api/preferences/schema.json": _description("JSON Schema of a document", "schema+"),
            "/api/openapi.json": _description("This description", ""),
        },
        "components": {
            "schemas": {
                "Document": schemas.document(),
                "Patch": schemas.patch(),
                "Stored": schemas.stored(_ref("schemas", "Document")),
                "Problem": _problem(),
            },
            "headers": {"ETag": _ETAG},
            "responses": {f"Problem{status}": _refusal(status) for status in _WHAT_IS_WRONG},
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": settings.SESSION_COOKIE_NAME,
                    "description": "A session of the site; a write sends the CSRF token with it.",
                }
            },
        },
    }


def _document() -> dict[str, Any]:
    read = {"parameters": [_IF_MATCH, _IF_NONE_MATCH]}
    write = {"parameters": [_IF_MATCH, _csrf()]}
    return {
        "parameters": [_KEY],
        "get": {**_operation("readPreferences", "Read the document", _READING), **read},
        "head": {
            **_operation("headPreferences", "Ask for its ETag and length", _READING, body=False),
            **read,
        },
        "put": {
            **_operation("replacePreferences", "Replace the document", _WRITING),
            **write,
            "requestBody": _body(bodies.DOCUMENT, "Document"),
        },
        "patch": {
            **_operation("mergePreferences", "Merge into the document", _WRITING),
            **write,
            "requestBody": _body(bodies.PATCH, "Patch"),
        },
        "options": {
            "operationId": "askForMethods",
            "summary": "Which methods there are, and what a PATCH takes",
            "security": [],
            "responses": {"204": {"description": "In Allow and Accept-Patch"}},
        },
    }


def _operation(
    name: str, summary: str, refusals: tuple[int, ...], *, body: bool = True
) -> dict[str, Any]:
    served: dict[str, Any] = {
        "description": "The document as it is stored",
        "headers": {"ETag": _ref("headers", "ETag")},
    }
    if body:
        served["content"] = {bodies.DOCUMENT: {"schema": _ref("schemas", "Stored")}}
    responses: dict[str, Any] = {"200": served}
    if refusals is _READING:
        responses["304"] = {"description": "The reader has it, by If-None-Match"}
    for status in sorted(refusals):
        responses[str(status)] = (
            _ref("responses", f"Problem{status}")
            if body
            else {"description": _WHAT_IS_WRONG[status]}
        )
    return {"operationId": name, "summary": summary, "responses": responses}


def _description(summary: str, kind: str) -> dict[str, Any]:
    content = {f"application/{kind}json": {"schema": {"type": "object"}}}
    responses = {
        "200": {
            "description": summary,
            "headers": {"ETag": _ref("headers", "ETag")},
            "content": content,
        },
        "304": {"description": "The reader has it, by If-None-Match"},
        **{str(status): _ref("responses", f"Problem{status}") for status in (400, 405, 406, 412)},
    }
    return {
        "get": {
            "operationId": "read" + summary.title().replace(" ", ""),
            "summary": summary,
            "security": [],
            "parameters": [_IF_MATCH, _IF_NONE_MATCH],
            "responses": responses,
        }
    }


def _body(content_type: str, name: str) -> dict[str, Any]:
    return {"required": True, "content": {content_type: {"schema": _ref("schemas", name)}}}


def _csrf() -> Schema:
    name = settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-")
    return {
        "name": name.title(),
        "in": "header",
        "description": "The CSRF token of the session.",
        "schema": {"type": "string"},
    }


def _refusal(status: int) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if status == 412:
        headers["ETag"] = _ref("headers", "ETag")
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    if status == 405:
        headers["Allow"] = {"schema": {"type": "string"}}
    return {
        "description": _WHAT_IS_WRONG[status],
        **({"headers": headers} if headers else {}),
        "content": {problems.CONTENT_TYPE: {"schema": _ref("schemas", "Problem")}},
    }


def _problem() -> Schema:
    texts = {name: {"type": "string"} for name in ("pointer", "detail", "expected")}
    return {
        "description": "A refusal (RFC 9457); `errors` has every setting that is wrong.",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {"type": "object", "required": list(texts), "properties": texts},
            },
        },
    }


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
