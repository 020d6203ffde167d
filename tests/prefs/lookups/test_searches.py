"""How a condition on documents is asked: as a search where many are wanted, else one by one."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import Q

from prefs.routing import SWITCHES, Route
from project.accounts.models import User
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import Place
from tests.support.tampering import remove_switches, turn

pytestmark = pytest.mark.django_db

DARK = Q(preferences__theme="dark")
TOPIC = Q(preferences__notifications__email__marketing=True)


def sql_of(users: Any) -> str:
    """The statement of a queryset."""
    return str(users.query.sql_with_params()[0])


def plan_of(users: Any) -> str:
    """The plan of a queryset, by indexes wherever there are any."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
    return str(users.explain())


@pytest.mark.parametrize("q", [DARK, ~DARK, DARK | TOPIC, DARK & ~TOPIC], ids=str)
def test_what_only_asks_of_documents_is_one_search(q: Q) -> None:
    statement = sql_of(User.objects.filter(q))
    assert statement.count("= ANY(CASE") == 1
    assert "EXISTS (SELECT FROM (SELECT" not in statement


@pytest.mark.parametrize(
    "q",
    [DARK & Q(is_staff=True), DARK | Q(is_staff=True), ~(DARK & Q(is_staff=True))],
    ids=str,
)
def test_beside_another_condition_the_planner_chooses(q: Q) -> None:
    statement = sql_of(User.objects.filter(q))
    assert "= ANY(CASE" not in statement
    assert statement.count("IS TRUE") == 1


def test_a_slice_in_another_order_looks_at_one_after_the_other() -> None:
    statement = sql_of(User.objects.filter(DARK).order_by("username")[:10])
    assert "UNION ALL" not in statement


def test_a_slice_in_the_order_of_the_key_finds_no_more_than_it_wants() -> None:
    statement = sql_of(User.objects.filter(DARK).order_by("-pk")[5:10])
    assert statement.count("DESC LIMIT 10") == 3


def test_a_topic_is_found_by_its_index_and_quarantined_values_by_theirs(
    in_route: EnterRoute,
) -> None:
    in_route(Place.TABLES)
    plan = plan_of(User.objects.filter(TOPIC))
    assert "prefs_email_marketing" in plan
    assert "prefs_quarantined" in plan


def test_of_one_user_nobody_else_is_searched_for(place: Place) -> None:
    ids = stores.insert_users(place, [json.dumps({"theme": "dark"})] * 300)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    assert "hashed SubPlan" in User.objects.filter(DARK | Q(is_staff=True)).explain()
    assert "hashed SubPlan" not in User.objects.filter(DARK, pk=ids[0]).explain()


@pytest.mark.parametrize(
    "users",
    [
        User.objects.filter(DARK),
        User.objects.filter(DARK)[:3],
        User.objects.filter(DARK | Q(is_staff=True)),
        User.objects.order_by("preferences__theme"),
        User.objects.values("preferences__beta"),
    ],
    ids=["search", "page", "beside another", "order", "values"],
)
def test_a_missing_switch_and_a_missing_column_are_errors(in_route: EnterRoute, users: Any) -> None:
    in_route(Place.DROPPED)
    stores.insert_users(Place.DROPPED, ["{}", '{"theme": "dark"}'])
    with transaction.atomic():
        turn(Route.BLOB)
        with pytest.raises(DatabaseError, match="a column that was dropped"), transaction.atomic():
            list(users.all())
        remove_switches(*SWITCHES)
        with pytest.raises(OperationalError, match="switch"), transaction.atomic():
            list(users.all())


def test_a_query_survives_a_pickle() -> None:
    users = User.objects.filter(DARK | Q(is_staff=True)).order_by("preferences__theme")
    again = User.objects.all()
    again.query = pickle.loads(pickle.dumps(users.query))
    assert sql_of(again) == sql_of(users)


def test_a_transform_of_the_sites_goes_on_working(place: Place) -> None:
    ids = stores.insert_users(place, ['{"theme": "dark"}', '{"theme": "light"}', "{}"])
    found = User.objects.filter(pk__in=ids).values_list("preferences__theme__0", flat=True)
    assert list(found) == [None, None, None]
