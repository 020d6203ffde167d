"""Who asks for something inside a request, and whether they may.

waffle's permission to change a switch is not ours to take a transition. A command needs none.
Inside a request the user must be known: by our admin page of switches, or by the middleware
`prefs.middleware.remember_user`. Where nobody is known, as on a page of the site's own, the
answer is no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.urls import get_urlconf

from prefs.engine.audit import Signature, acting_as, is_signed

_user: ContextVar[Callable[[], Any] | None] = ContextVar("prefs_user", default=None)


@contextmanager
def asking_for(user: Callable[[], Any]) -> Iterator[None]:
    """What is asked inside is asked by `user()`, which is called only where it matters."""
    token = _user.set(user)
    try:
        yield
    finally:
        _user.reset(token)


@contextmanager
def signed_by_user() -> Iterator[None]:
    """Sign what is done inside by the user who asks, unless it is signed already."""
    user = _user.get()
    if user is None or is_signed():
        yield
        return
    with acting_as(Signature(actor=user().get_username() or "nobody", program="request")):
        yield


def why_not(permission: str) -> str:
    """Why the one who asks may not do what needs `permission`, or nothing."""
    user = _user.get()
    if user is not None:
        found = user()
        if found.has_perm(permission):
            return ""
        return (
            f"{found.get_username() or 'Nobody who is logged in'} may not do this: it needs the"
            f" permission {permission}, which waffle's own do not give. Nothing was changed."
        )
    # Django sets it for the time of a request, in WSGI and ASGI alike.
    if get_urlconf() is None:
        return ""
    return (
        f"Nothing was changed: this needs the permission {permission}, and on this page it is not"
        " known who asks. Add prefs.middleware.remember_user to MIDDLEWARE, after that of"
        " authentication, or derive the page from prefs.admin.GuardedSwitchAdmin; or run"
        " `manage.py advance_prefs` or `manage.py rollback_prefs`."
    )
