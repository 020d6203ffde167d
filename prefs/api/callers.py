"""Who asks, whose document that is, and whether they may."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.module_loading import import_string

from prefs import conf, owners
from prefs.api.problems import Problem
from prefs.models.permissions import CHANGE_DOCUMENTS, VIEW_DOCUMENTS

ME = "me"


def user_of(request: HttpRequest) -> Any:
    """The key of the user who asks; None for nobody. PREFS_API_OWNER is this unless it is set."""
    user = _user(request)
    return user.pk if user is not None else None


def own_key(request: HttpRequest) -> Any:
    """The key of the user whom a request is from, by PREFS_API_OWNER; None for nobody."""
    path = conf.current().api_owner
    find: Callable[[HttpRequest], Any] = import_string(path) if path else user_of
    return find(request)


def key_for(request: HttpRequest, named: str, *, write: bool) -> Any:
    """The key of the user whose document is asked for by `named`: a key, or `me`.

    Raises Problem: 401 for nobody; 403 for another's document without permission, whether there is
    such a user or not; 404 for who has no document. A key that can be nobody's is the user model's
    DoesNotExist.
    """
    own = own_key(request)
    if own is None and _user(request) is None:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "Log in first: the document is for its user alone.",
            {"WWW-Authenticate": 'Session realm="preferences"'},
        )
    if named == ME:
        if own is None:
            raise Problem(HTTPStatus.NOT_FOUND, "You have no preferences here.")
        return own
    if own is not None and str(own) == named:
        return own
    if not _may(request, write=write):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"You may {'change' if write else 'read'} your own document, at /users/me/. Another's"
            f" takes a member of the staff with the permission"
            f" {CHANGE_DOCUMENTS if write else VIEW_DOCUMENTS}.",
        )
    return _key(named)


def refuse_forgery(request: HttpRequest) -> None:
    """Raise Problem for a write by a session without its CSRF token.

    A user who did not come by a session has sent something that no other site's page can.
    """
    session = getattr(request, "session", None)
    if session is None or SESSION_KEY not in session:
        return
    check = _Forgery(_checked)
    check.process_request(request)
    check.process_view(request, _checked, (), {})


def _checked(_: HttpRequest) -> HttpResponse:
    return HttpResponse()


class _Forgery(CsrfViewMiddleware):
    """Django's check, whose refusal is a problem and no page."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"CSRF verification failed: {reason} Send the value of the CSRF cookie in the header"
            " X-CSRFToken, from a page of this site.",
        )


def _user(request: HttpRequest) -> Any:
    user = getattr(request, "user", None)
    return user if user is not None and user.is_authenticated else None


def _may(request: HttpRequest, *, write: bool) -> bool:
    """Who may change a document may read it: an empty change answers it."""
    user = _user(request)
    if user is None or not getattr(user, "is_staff", False):
        return False
    needed = (CHANGE_DOCUMENTS,) if write else (VIEW_DOCUMENTS, CHANGE_DOCUMENTS)
    # A user model need not know of permissions; then nobody has one.
    has_perm: Callable[[str], bool] | None = getattr(user, "has_perm", None)
    return has_perm is not None and any(map(has_perm, needed))


def _key(named: str) -> Any:
    """The key that PostgreSQL prints as `named`: no other spelling of it is one."""
    key = owners.key_of(named)
    if str(key) != named:
        raise owners.no_such_user(named)
    return key
