"""Bodies as text, as they came: UTF-8 alone, under the content type that the method takes."""

from __future__ import annotations

from http import HTTPStatus

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest

from prefs.api.problems import Problem

DOCUMENT = "application/json"
PATCH = "application/merge-patch+json"
_SPACE = " \t\r\n"
_PIECE, _PIECES = 65_536, 256


def text_of(request: HttpRequest, content_type: str) -> str:
    """The body of a request of that content type.

    Raises Problem (415, and 400 for what is not UTF-8) and RequestDataTooBig.
    """
    _refuse_other_types(request, content_type)
    try:
        text = request.body.decode("utf-8")
    except RequestDataTooBig:
        _drop(request)
        raise
    except UnicodeDecodeError as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"The body is not UTF-8: {error.reason} at byte {error.start}. JSON is sent as UTF-8.",
        ) from error
    if not text.strip(_SPACE):
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body is empty; expected {content_type}.")
    return text


def _drop(request: HttpRequest) -> None:
    """Read what is left of a body, within reason: many clients read no answer before it is sent."""
    for _ in range(_PIECES):
        if not request.read(_PIECE):
            return


def is_object(text: str) -> bool:
    """Whether a JSON text is that of an object."""
    return text.lstrip(_SPACE).startswith("{")


def _refuse_other_types(request: HttpRequest, content_type: str) -> None:
    charset = request.content_params.get("charset", "utf-8") if request.content_params else "utf-8"
    encoding = request.headers.get("Content-Encoding", "identity")
    found = (request.content_type or "").lower()
    if (found, charset.lower(), encoding.lower()) != (content_type, "utf-8", "identity"):
        sent = request.headers.get("Content-Type") or "nothing"
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body is sent as {sent}, encoded as {encoding}; expected {content_type} in UTF-8,"
            " not compressed.",
            {"Accept": content_type} | ({"Accept-Patch": PATCH} if content_type == PATCH else {}),
        )
