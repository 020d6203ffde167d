"""Whose document it is, and who may read and write it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import Client

from tests.prefs.api.asking import JSON, PATCH, Asking, asking_as, checked, path
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import NOBODY, Place

pytestmark = pytest.mark.django_db

METHODS = ("get", "head", "put", "patch")


@pytest.fixture
def users(in_route: EnterRoute) -> list[int]:
    """Two users with documents."""
    return stores.insert_users(in_route(Place.TABLES), ['{"theme": "light"}'] * 2)


def ask(asking: Asking, method: str, key: object) -> int:
    """The status of a request for a document."""
    answer = (
        getattr(asking, method)(key)
        if method in {"get", "head"}
        else getattr(asking, method)("{}", key)
    )
    return int(answer.status_code)


@pytest.mark.parametrize("key", ["me", "1", str(NOBODY), "x", ""])
def test_who_is_not_logged_in_is_asked_to(client: Client, db: None, key: str) -> None:
    for method in METHODS:
        answer = checked(getattr(client, method)(path(key)))
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"]


def test_a_user_reaches_their_own_document_alone(users: list[int]) -> None:
    own, other = users
    asking = asking_as(own)
    for method in METHODS:
        assert ask(asking, method, "me") == 200
        assert ask(asking, method, own) == 200
        for key in (other, NOBODY, "x", "", "me/", f"{own}/"):
            assert ask(asking, method, key) == 403


@pytest.mark.parametrize(
    ("permissions", "staff", "reads", "writes"),
    [
        ((), True, False, False),
        (("view_documents",), True, True, False),
        (("change_documents",), True, True, True),
        (("view_documents", "change_documents"), False, False, False),
    ],
)
def test_anothers_takes_staff_with_the_permission(
    users: list[int], permissions: tuple[str, ...], staff: bool, reads: bool, writes: bool
) -> None:
    own, other = users
    asking = asking_as(own, *permissions, staff=staff)
    for method in METHODS:
        may = reads if method in {"get", "head"} else writes
        assert ask(asking, method, other) == (200 if may else 403)
        for nobody in (NOBODY, "x", "", "1.5", "9" * 5000, "\u0663", f"0{other}"):
            assert ask(asking, method, nobody) == (404 if may else 403)


def test_a_superuser_who_is_no_staff_reads_none_but_their_own(users: list[int]) -> None:
    own, other = users
    stores.query("UPDATE accounts_user SET is_superuser = true WHERE id = %s", [own])
    assert ask(asking_as(own), "get", other) == 403
    assert ask(asking_as(own, staff=True), "get", other) == 200


def test_a_write_of_a_session_needs_its_csrf_token(users: list[int]) -> None:
    asking = asking_as(users[0], csrf=True)
    token = "b" * 32
    for content_type, method in ((JSON, "put"), (PATCH, "patch")):
        send = getattr(asking, method)
        refused = send('{"theme": "dark"}', content_type=content_type)
        assert refused.status_code == 403
        assert "CSRF" in refused.json()["detail"]
        assert asking.get().text == '{"theme": "light"}'
        asking.client.cookies["csrftoken"] = token
        assert send("{}", x_csrftoken="c" * 32).status_code == 403
        assert send("{}", x_csrftoken=token, origin="https://evil.example").status_code == 403
        assert send('{"theme": "light"}', x_csrftoken=token).status_code == 200
        del asking.client.cookies["csrftoken"]


def someone(request: HttpRequest) -> Any:
    """A site's own way to tell who asks: by a header, which no page of another site can send."""
    named = request.headers.get("X-User")
    return int(named) if named else None


def test_a_site_says_by_a_function_who_asks(users: list[int], settings: Any) -> None:
    settings.PREFS_API_OWNER = f"{__name__}.someone"
    client = Client(enforce_csrf_checks=True, headers={"X-User": str(users[1])})
    answer = checked(client.patch(path(), '{"theme": "dark"}', content_type=PATCH))
    assert (answer.status_code, answer.text) == (200, '{"theme": "dark"}')
    assert checked(client.get(path(users[1]))).status_code == 200
    assert checked(client.get(path(users[0]))).status_code == 403
    assert checked(Client().get(path())).status_code == 401


def test_who_is_logged_in_and_has_no_document_is_told_so(users: list[int], settings: Any) -> None:
    settings.PREFS_API_OWNER = f"{__name__}.someone"
    answer = asking_as(users[0]).get()
    assert answer.status_code == 404
    assert ask(asking_as(users[0]), "get", users[0]) == 403
    assert ask(asking_as(users[0], "view_documents", staff=True), "get", users[0]) == 200


def test_a_key_that_is_of_nobody_any_more_is_404(users: list[int], settings: Any) -> None:
    settings.PREFS_API_OWNER = f"{__name__}.someone"
    client = Client(headers={"X-User": str(NOBODY)})
    assert checked(client.get(path())).status_code == 404
    assert checked(client.patch(path(), "{}", content_type=PATCH)).status_code == 404


@pytest.mark.parametrize("value", [None, 5, b"x"])
def test_a_setting_of_another_type_is_refused_by_name(
    users: list[int], settings: Any, value: object
) -> None:
    settings.PREFS_API_OWNER = value
    with pytest.raises(ImproperlyConfigured, match="PREFS_API_OWNER"):
        asking_as(users[0]).client.get(path())


def test_a_site_that_asks_for_a_login_everywhere_gets_no_redirect(
    users: list[int], settings: Any
) -> None:
    login = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, login]
    assert checked(Client().get(path())).status_code == 401
    assert Client().get("/api/openapi.json").status_code == 200
