"""If-Match and If-None-Match (RFC 9110, section 13): which versions a client names.

Django's own `parse_etags` leaves out what is malformed, so that a mistyped precondition would be
none at all; here it is an error.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from django.http import HttpRequest

from prefs import conf
from prefs.api.problems import Problem
from prefs.etags import ANY, PreconditionFailed, matches

_ETAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\U0010ffff]*"'
# A list may have empty members, before, between and after.
_LIST = re.compile(rf"[ \t,]*{_ETAG}(?:[ \t]*,(?:[ \t]*{_ETAG})?)*[ \t]*")
_EACH = re.compile(_ETAG)


def if_match(request: HttpRequest) -> list[str] | None:
    """The ETags of If-Match, `*` as it is; None without the header.

    Raises Problem: malformed, or missing where the site requires it of a write.
    """
    return _etags(request, "If-Match")


def if_match_of_write(request: HttpRequest) -> list[str] | None:
    """The same for a write, which has no other precondition.

    Raises Problem as well for one without it where PREFS_API_REQUIRE_IF_MATCH says so, and for one
    with If-None-Match.
    """
    if _etags(request, "If-None-Match") is not None:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "If-None-Match is a precondition of GET and HEAD here. A user's document is always"
            " there: write it with If-Match and the ETag that was read.",
        )
    found = if_match(request)
    if found is None and conf.current().api_require_if_match:
        raise Problem(
            HTTPStatus.PRECONDITION_REQUIRED,
            "Writes need If-Match here: read the document, and send its ETag back in If-Match.",
        )
    return found


def check_read(request: HttpRequest, key: object, etag: str) -> bool:
    """Whether the reader has that version already, by If-None-Match.

    Raises PreconditionFailed, by If-Match, and Problem.
    """
    named = if_match(request)
    if named is not None and not matches(named, etag):
        raise PreconditionFailed(key, etag)
    known = _etags(request, "If-None-Match")
    # By weak comparison: what was compressed on its way to the client has a weak ETag.
    return known is not None and matches([each.removeprefix("W/") for each in known], etag)


def _etags(request: HttpRequest, header: str) -> list[str] | None:
    value = request.headers.get(header)
    if value is None:
        return None
    if value.strip(" \t") == ANY:
        return [ANY]
    if _LIST.fullmatch(value) is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f'{header} is malformed; expected * or a list of quoted ETags, such as "abc", "def".',
        )
    return _EACH.findall(value)
