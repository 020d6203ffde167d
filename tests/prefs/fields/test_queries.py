"""Queries that name preferences: the document by route, wherever a column could stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Exists, F, Manager, OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KT

from prefs.routing import SWITCHES
from project.accounts.models import User
from tests.prefs.fields.people import add, statements
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import Place
from tests.support.tampering import remove_switches

pytestmark = pytest.mark.django_db

TEXTS = {
    "dark": '{"theme": "dark", "items_per_page": 20, "tags": ["a"]}',
    "light": '{"theme": "light", "notifications": {"email": {"digest": "daily"}}}',
    "odd": '{"theme": null, "items_per_page": 20.0}',
    "empty": "{}",
    "list": '["theme"]',
    "null": "null",
    "nothing": None,
}


def named(place: Place) -> dict[int, str]:
    """The names of users by key, each with the document of that name."""
    ids = stores.insert_users(place, list(TEXTS.values()))
    for key, name in zip(ids, TEXTS, strict=True):
        stores.query("UPDATE accounts_user SET username = %s WHERE id = %s", [name, key])
    return dict(zip(ids, TEXTS, strict=True))


@pytest.fixture
def people(place: Place) -> dict[int, str]:
    """Those users, in each route."""
    return named(place)


def log_of(people: dict[int, str]) -> None:
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.bulk_create(
        LogEntry(user_id=key, content_type=kind, object_repr="", action_flag=1) for key in people
    )


Find = Callable[[Manager[Any]], QuerySet[Any]]
FILTERS: dict[str, tuple[Find, set[str]]] = {
    "key": (lambda users: users.filter(preferences__theme="dark"), {"dark"}),
    "path": (
        lambda users: users.filter(preferences__notifications__email__digest="daily"),
        {"light"},
    ),
    "number": (lambda users: users.filter(preferences__items_per_page=20), {"dark", "odd"}),
    "greater": (lambda users: users.filter(preferences__items_per_page__gt=19), {"dark", "odd"}),
    "in": (lambda users: users.filter(preferences__theme__in=["dark", "light"]), {"dark", "light"}),
    "text": (lambda users: users.filter(preferences__theme__startswith="da"), {"dark"}),
    "contains": (lambda users: users.filter(preferences__contains={"theme": "light"}), {"light"}),
    "contained by": (
        lambda users: users.filter(preferences__contained_by={"theme": None}),
        {"empty"},
    ),
    "has key": (
        lambda users: users.filter(preferences__has_key="theme"),
        {"dark", "light", "odd", "list"},
    ),
    "exact": (lambda users: users.filter(preferences={}), {"empty"}),
    "isnull": (lambda users: users.filter(preferences__isnull=True), {"nothing"}),
    "key isnull": (
        lambda users: users.filter(preferences__theme__isnull=True),
        {"empty", "list", "null", "nothing"},
    ),
    "key is null": (lambda users: users.filter(preferences__theme=None), {"odd"}),
    "exclude": (
        lambda users: users.exclude(preferences__has_key="theme"),
        {"empty", "null", "nothing"},
    ),
    "exclude key": (
        # A key that is not there is neither equal nor unequal, as in any JSONField.
        lambda users: users.exclude(preferences__theme="dark"),
        {"light", "odd", "nothing"},
    ),
    "or": (
        lambda users: users.filter(Q(preferences__theme="dark") | Q(username="odd")),
        {"dark", "odd"},
    ),
    "not": (
        lambda users: users.filter(~Q(preferences__isnull=True), ~Q(username="odd")),
        {
            "dark",
            "light",
            "empty",
            "list",
            "null",
        },
    ),
    "annotation": (
        lambda users: users.annotate(theme=KT("preferences__theme")).filter(theme="dark"),
        {"dark"},
    ),
    "exists": (
        lambda users: users.filter(
            Exists(users.filter(pk=OuterRef("pk"), preferences__theme="dark"))
        ),
        {"dark"},
    ),
    "subquery": (
        lambda users: users.filter(
            preferences=Subquery(users.filter(username="empty").values("preferences")[:1])
        ),
        {"empty"},
    ),
    "union": (
        lambda users: users.filter(preferences__theme="dark").union(
            users.filter(preferences__theme="light")
        ),
        {"dark", "light"},
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_finds_those_it_names(place: Place, people: dict[int, str], name: str) -> None:
    find, expected = FILTERS[name]
    assert {user.username for user in find(User.objects)} == expected


@pytest.mark.parametrize("name", FILTERS)
def test_the_field_with_a_column_found_the_same(in_route: EnterRoute, name: str) -> None:
    named(in_route(Place.BLOB))
    loader = MigrationExecutor(connection).loader
    previous = loader.project_state([("accounts", "0001_initial")]).apps
    find, expected = FILTERS[name]
    users = previous.get_model("accounts", "User")._default_manager
    assert {user.username for user in find(users)} == expected


def test_values_are_the_documents(place: Place, people: dict[int, str]) -> None:
    documents = dict(User.objects.values_list("username", "preferences"))
    assert documents == {
        "dark": {"theme": "dark", "items_per_page": 20, "tags": ["a"]},
        "light": {"theme": "light", "notifications": {"email": {"digest": "daily"}}},
        "odd": {"theme": None, "items_per_page": 20.0},
        "empty": {},
        "list": ["theme"],
        "null": None,
        "nothing": None,
    }
    rows = User.objects.filter(username="dark").values("preferences", "preferences__tags__0")
    assert list(rows) == [{"preferences": documents["dark"], "preferences__tags__0": "a"}]
    assert User.objects.values_list("preferences", flat=True).get(username="empty") == {}


def test_documents_order_group_and_count(place: Place, people: dict[int, str]) -> None:
    ordered = User.objects.order_by("preferences__items_per_page", "username")
    assert [user.username for user in ordered][:2] == ["dark", "odd"]
    assert User.objects.order_by("preferences").first() is not None
    groups = User.objects.values("preferences__items_per_page").annotate(users=Count("pk"))
    assert {group["preferences__items_per_page"]: group["users"] for group in groups} == {
        20: 2,
        None: 5,
    }
    whole = User.objects.values("preferences").annotate(users=Count("pk"))
    assert len(whole) == 7
    assert User.objects.values("preferences").distinct().count() == 7
    assert User.objects.aggregate(n=Count("preferences")) == {"n": 6}
    annotated = User.objects.annotate(document=F("preferences")).get(username="dark")
    assert annotated.document == annotated.preferences


def test_documents_are_found_from_other_models(place: Place, people: dict[int, str]) -> None:
    log_of(people)
    entries = LogEntry.objects.filter(user__preferences__theme="dark")
    assert [entry.user.username for entry in entries.select_related("user")] == ["dark"]
    rows = LogEntry.objects.order_by("user").values_list("user__preferences__theme", flat=True)
    assert list(rows) == ["dark", "light", None, None, None, None, None]
    excluded = LogEntry.objects.exclude(user__preferences__theme="dark")
    assert {entry.user.username for entry in excluded} == {"light", "odd", "nothing"}


def test_a_row_that_joins_no_user_has_no_document(place: Place) -> None:
    user = add(place)
    rows = (
        User.objects.filter(pk=user.pk)
        .annotate(theirs=F("logentry__user__preferences"))
        .values_list("theirs", flat=True)
    )
    assert list(rows) == [None]


def test_other_columns_are_updated_and_rows_deleted_by_documents(
    place: Place, people: dict[int, str]
) -> None:
    assert User.objects.filter(preferences__theme="dark").update(first_name="Ada") == 1
    assert User.objects.get(first_name="Ada").username == "dark"
    assert User.objects.filter(preferences__theme="light").delete()[0] == 1
    assert User.objects.count() == 6


@pytest.mark.parametrize("missing", [SWITCHES[:1], SWITCHES[1:], SWITCHES], ids=" and ".join)
def test_a_missing_switch_is_an_error_that_names_the_repair(
    place: Place, missing: tuple[str, ...]
) -> None:
    add(place)
    remove_switches(*missing)
    with (
        pytest.raises(OperationalError, match=r"(?s)switch.*is missing.*status_prefs"),
        transaction.atomic(),
    ):
        list(User.objects.filter(preferences__theme="dark"))
    # Nobody asked for a document, so there is nothing to route.
    assert len(statements(lambda: list(User.objects.all()))) == 1
