"""The views: a user's document, and the descriptions of what is served."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from prefs.api import bodies, descriptions
from prefs.api.callers import key_for, refuse_forgery
from prefs.api.endpoints import endpoint
from prefs.api.preconditions import check_read, if_match_of_write
from prefs.api.problems import Problem
from prefs.etags import PreconditionFailed, etag_of, matches
from prefs.json_text import structure
from prefs.models import UserPreferences

_SCHEMA = "application/schema+json"


def _answer(
    request: HttpRequest, key: object, text: str | None, content_type: str = bodies.DOCUMENT
) -> HttpResponse:
    """A text with its ETag, or that the reader has it."""
    etag = etag_of(text)
    if request.method in {"GET", "HEAD"} and check_read(request, key, etag):
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    body = "null" if text is None else text
    return HttpResponse(body, content_type=content_type, headers={"ETag": etag})


def _read(request: HttpRequest, key: str) -> HttpResponse:
    user = key_for(request, key, write=False)
    return _answer(request, user, UserPreferences.objects.document_text(user))


def _replace(request: HttpRequest, key: str) -> HttpResponse:
    user = key_for(request, key, write=True)
    refuse_forgery(request)
    if_match = if_match_of_write(request)
    text = bodies.text_of(request, bodies.DOCUMENT)
    if not bodies.is_object(text):
        return _answer(request, user, _put_back(user, text, if_match))
    return _answer(request, user, UserPreferences.objects.replace_text(user, text, if_match))


def _put_back(user: Any, text: str, if_match: list[str] | None) -> str | None:
    """A replacement by what is no object, which has to be what is stored; that is its text."""
    etag = etag_of(UserPreferences.objects.printed(user, text))
    try:
        stored = UserPreferences.objects.replace_text(user, text, [etag])
    except PreconditionFailed as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The body is no object, and not what is stored; expected a JSON object.",
        ) from error
    if if_match is not None and not matches(if_match, etag):
        raise PreconditionFailed(user, etag)
    return stored


def _merge(request: HttpRequest, key: str) -> HttpResponse:
    user = key_for(request, key, write=True)
    refuse_forgery(request)
    if_match = if_match_of_write(request)
    text = bodies.text_of(request, bodies.PATCH)
    if not bodies.is_object(text):
        structure(user, text)
        raise Problem(
            HTTPStatus.BAD_REQUEST, "The body is no object; expected a merge patch (RFC 7396)."
        )
    return _answer(request, user, UserPreferences.objects.merge_text(user, text, if_match))


def _schema(request: HttpRequest) -> HttpResponse:
    return _answer(request, "schema.json", descriptions.schema(), _SCHEMA)


def _openapi(request: HttpRequest) -> HttpResponse:
    root = reverse("prefs-api:openapi").removesuffix("api/openapi.json")
    return _answer(request, "openapi.json", descriptions.openapi(root))


document = endpoint(
    {"GET": _read, "PUT": _replace, "PATCH": _merge},
    content_type=bodies.DOCUMENT,
    options={"Accept-Patch": bodies.PATCH},
)
schema = endpoint({"GET": _schema}, content_type=_SCHEMA)
openapi = endpoint({"GET": _openapi}, content_type=bodies.DOCUMENT)
