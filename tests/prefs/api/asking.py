"""A client of one user, and what every answer of the API must be."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.contrib.auth.models import Permission
from django.middleware.csrf import CSRF_SESSION_KEY
from django.test import Client

from project.accounts.models import User
from tests.support import stores

PATCH = "application/merge-patch+json"
JSON = "application/json"
PROBLEM = "application/problem+json"


def path(key: object = "me") -> str:
    """The address of a user's document."""
    return f"/api/users/{key}/preferences/"


def etag(text: str | None) -> str:
    """The ETag that a document with this text must have; made here, not by the code tested."""
    return f'"{hashlib.sha256(("null" if text is None else text).encode()).hexdigest()}"'


class Asking:
    """Requests of one user, who came by a session."""

    def __init__(self, user: int, client: Client) -> None:
        self.user = user
        self.client = client

    def get(self, key: object = "me", **headers: str) -> Any:
        return checked(self.client.get(path(key), headers=named(headers)))

    def head(self, key: object = "me", **headers: str) -> Any:
        return checked(self.client.head(path(key), headers=named(headers)))

    def put(
        self, body: str | bytes, key: object = "me", content_type: str = JSON, **headers: str
    ) -> Any:
        return self._send("PUT", body, key, content_type, headers)

    def patch(
        self, body: str | bytes, key: object = "me", content_type: str = PATCH, **headers: str
    ) -> Any:
        return self._send("PATCH", body, key, content_type, headers)

    def _send(
        self,
        method: str,
        body: str | bytes,
        key: object,
        content_type: str,
        headers: dict[str, str],
    ) -> Any:
        # Of an empty body Django's client would not say the type.
        sent = {**named(headers), "Content-Type": content_type}
        return checked(self.client.generic(method, path(key), body, content_type, headers=sent))


def named(headers: dict[str, str]) -> dict[str, str]:
    """Headers by the names of arguments: `if_match` is If-Match."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


def asking_as(user: int, *permissions: str, staff: bool = False, csrf: bool = False) -> Asking:
    """A client that is logged in as a user, with these permissions; `csrf` has tokens checked."""
    client = Client(enforce_csrf_checks=csrf)
    found = User.objects.get(pk=user)
    stores.query("UPDATE accounts_user SET is_staff = %s WHERE id = %s", [staff, user])
    found.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(found)
    return Asking(user, client)


def with_token(asking: Asking) -> tuple[str, str]:
    """The session's key and a CSRF token of it, for a site that has tokens in sessions."""
    token = "a" * 32
    session = asking.client.session
    session[CSRF_SESSION_KEY] = token
    session.save()
    return str(session.session_key), token


def checked(answer: Any) -> Any:
    """The answer, after what holds for every one of them."""
    assert answer.status_code < 500 or answer.status_code in {503, 507}
    assert answer["Cache-Control"] == "private, no-cache"
    assert "Cookie" in answer["Vary"]
    assert "Content-Encoding" not in answer
    if answer.status_code >= 400:
        assert answer["Content-Type"] == PROBLEM
        if answer.request["REQUEST_METHOD"] != "HEAD":
            _check_problem(answer)
    elif answer.status_code == 200:
        assert answer["ETag"].startswith('"')
        if answer.request["REQUEST_METHOD"] != "HEAD":
            assert answer["ETag"] == etag(answer.text)
            assert int(answer["Content-Length"]) == len(answer.content)
    return answer


def _check_problem(answer: Any) -> None:
    problem = json.loads(answer.content)
    assert problem["status"] == answer.status_code
    assert problem["title"] == answer.reason_phrase
    assert all(isinstance(problem[name], str) for name in ("type", "title", "detail"))
    for error in problem.get("errors", ()):
        assert error.keys() == {"pointer", "detail", "expected"}
