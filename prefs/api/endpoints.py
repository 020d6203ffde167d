"""What every address of the API has in common: methods, media types, caching, refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from prefs.api.problems import ANSWERED, Problem, answer_to

Handler = Callable[..., HttpResponse]


def endpoint(
    handlers: Mapping[str, Handler], *, content_type: str, options: Mapping[str, str] | None = None
) -> Handler:
    """A view that answers each method by its handler, HEAD by that of GET, with `content_type`.

    `options` are headers of the answer to OPTIONS. Problems and the errors ANSWERED become
    problem+json; CSRF is the handlers' own, since Django's refusal is a page, and so is a redirect
    to a login.
    """
    allowed = ", ".join(sorted({*handlers, "HEAD", "OPTIONS"}))

    def answered(request: HttpRequest, **named: str) -> HttpResponse:
        if request.method == "OPTIONS":
            return HttpResponse(
                status=HTTPStatus.NO_CONTENT, headers={"Allow": allowed, **(options or {})}
            )
        handler = handlers.get("GET" if request.method == "HEAD" else request.method or "")
        if handler is None:
            raise Problem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{request.method} is not a method of this address; expected {allowed}.",
                {"Allow": allowed},
            )
        if not _accepts(request, content_type):
            raise Problem(
                HTTPStatus.NOT_ACCEPTABLE,
                f"The answer is {content_type}, which the header Accept leaves out.",
            )
        return handler(request, **named)

    @csrf_exempt
    @login_not_required
    @wraps(answered)
    def view(request: HttpRequest, **named: str) -> HttpResponse:
        # Compression would make the ETag a weak one, which If-Match never takes.
        request.META.pop("HTTP_ACCEPT_ENCODING", None)
        try:
            response = answered(request, **named)
        except ANSWERED as error:
            response = answer_to(error)
        return _finished(request, response)

    return view


def _accepts(request: HttpRequest, content_type: str) -> bool:
    try:
        return request.accepts(content_type)
    except (LookupError, ValueError) as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"The header Accept is malformed: {error}; expected media types.",
        ) from error


def _finished(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    response.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Cookie"])
    if response.status_code not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
        response.headers["Content-Length"] = str(len(response.content))
    if request.method == "HEAD":
        response.content = b""
    return response
