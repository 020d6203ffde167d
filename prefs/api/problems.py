"""Refusals as problem+json (RFC 9457), and the status that each error of ours has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, RequestDataTooBig
from django.http import HttpResponse

from prefs.codec import DocumentTooLong, InvalidDocument, UnprintableDocument
from prefs.etags import PreconditionFailed
from prefs.managers import UnsupportedIsolation
from prefs.routing import MissingSwitch

CONTENT_TYPE = "application/problem+json"

# The first that an error is an instance of. What is not in it is an error of the server's.
_STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (DocumentTooLong, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (RequestDataTooBig, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidDocument, HTTPStatus.BAD_REQUEST),
    (ObjectDoesNotExist, HTTPStatus.NOT_FOUND),
    (PreconditionFailed, HTTPStatus.PRECONDITION_FAILED),
    (UnprintableDocument, HTTPStatus.INSUFFICIENT_STORAGE),
    (MissingSwitch, HTTPStatus.SERVICE_UNAVAILABLE),
    (UnsupportedIsolation, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Problem(Exception):
    """A request that is refused before it comes to a document."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.headers = dict(headers or {})
        super().__init__(detail)


ANSWERED: tuple[type[Exception], ...] = (Problem, *(error for error, _ in _STATUSES))


def problem(
    status: HTTPStatus,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> HttpResponse:
    """The answer that refuses; `errors` are the leaves that are wrong."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    return HttpResponse(
        json.dumps(body), content_type=CONTENT_TYPE, status=status, headers=dict(headers or {})
    )


def answer_to(error: Exception) -> HttpResponse:
    """The answer to one of the errors ANSWERED."""
    if isinstance(error, Problem):
        return problem(error.status, str(error), error.headers)
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    headers = {"ETag": error.etag} if isinstance(error, PreconditionFailed) else {}
    errors = leaves_of(error) if isinstance(error, InvalidDocument) else []
    return problem(status, str(error), headers, errors)


def leaves_of(error: InvalidDocument) -> list[dict[str, str]]:
    """Every offending leaf, with a JSON pointer (RFC 6901) to it."""
    return [
        {"pointer": _pointer(dotted), "detail": error.errors[dotted], "expected": expected}
        for dotted, expected in error.expected.items()
    ]


def _pointer(dotted: str) -> str:
    names = dotted.split(".") if dotted else []
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
