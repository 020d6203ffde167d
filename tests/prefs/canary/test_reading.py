"""In dual_write the canary's users read the tables, everybody else the blob; and nothing more."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import models, transaction
from django.db.models import Count, F
from django.db.models.functions import Cast

from prefs.models import NotificationPreferences, UserPreferences
from prefs.sql.canary import bucket
from tests.prefs.canary.raising import bucket_of, chosen, force
from tests.support.places import EnterRoute
from tests.support.stores import Place, blob_text, delete_rows, fill_tables, insert_users, query
from tests.support.tampering import tamper

pytestmark = pytest.mark.django_db
User: Any = get_user_model()
BLOB = '{"theme": "light", "notifications": {"email": {"marketing": true}}}'
TABLES = '{"theme": "dark", "notifications": {"email": {"marketing": false}}}'


def parted(in_route: EnterRoute, place: Place = Place.BLOB_MIRRORED, count: int = 40) -> list[int]:
    """Users whose stores differ on purpose, so that an answer tells which it came from."""
    in_route(place)
    keys = insert_users(place, [BLOB] * count)
    fill_tables(keys, [TABLES] * count)
    if place.has_column:
        tamper("UPDATE accounts_user SET preferences = %s::jsonb", BLOB)
    return keys


def by_document(keys: list[int]) -> dict[int, Any]:
    return {key: UserPreferences.objects.document(key) for key in keys}


def by_text(keys: list[int]) -> dict[int, Any]:
    texts = {key: UserPreferences.objects.document_text(key) for key in keys}
    return {key: None if text is None else json.loads(text) for key, text in texts.items()}


def by_instance(keys: list[int]) -> dict[int, Any]:
    return {key: User.objects.get(pk=key).preferences for key in keys}


def by_many_instances(keys: list[int]) -> dict[int, Any]:
    return {user.pk: user.preferences for user in User.objects.filter(pk__in=keys)}


def by_locked_instances(keys: list[int]) -> dict[int, Any]:
    with transaction.atomic():
        found = User.objects.select_for_update().filter(pk__in=keys)
        return {user.pk: user.preferences for user in found}


def by_values(keys: list[int]) -> dict[int, Any]:
    return dict(User.objects.filter(pk__in=keys).values_list("pk", "preferences"))


READERS: dict[str, Callable[[list[int]], dict[int, Any]]] = {
    "document": by_document,
    "document_text": by_text,
    "documents": UserPreferences.objects.documents,
    "an instance": by_instance,
    "instances": by_many_instances,
    "locked instances": by_locked_instances,
    "values": by_values,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("percent", [0, 0.1, 50, 100])
def test_those_of_the_canary_read_the_tables_and_nobody_else(
    in_route: EnterRoute, percent: float, read: Callable[[list[int]], dict[int, Any]]
) -> None:
    keys = parted(in_route)
    force(percent)
    served = chosen(keys, percent)
    assert percent > 1 or len(served) < len(keys) / 2
    tables, blob = json.loads(TABLES), json.loads(BLOB)
    assert read(keys) == {key: tables if key in served else blob for key in keys}


@pytest.mark.parametrize("place", [p for p in Place if p is not Place.BLOB_MIRRORED], ids=str)
def test_in_every_other_route_it_changes_nothing(in_route: EnterRoute, place: Place) -> None:
    keys = parted(in_route, place, count=4)
    # Not even one that was raised behind the guard.
    tamper("UPDATE waffle_sample SET percent = 100 WHERE name = 'prefs_canary_reads'")
    expected = json.loads(TABLES if place.route.reads_tables else BLOB)
    for read in READERS.values():
        assert read(keys) == dict.fromkeys(keys, expected)


def test_a_user_without_both_typed_rows_reads_the_blob(in_route: EnterRoute) -> None:
    first, second, third = parted(in_route, count=3)
    force(100)
    delete_rows(first)
    tamper("DELETE FROM notification_preferences WHERE user_id = %s", second)
    blob, tables = json.loads(BLOB), json.loads(TABLES)
    for read in READERS.values():
        assert read([first, second, third]) == {first: blob, second: blob, third: tables}


def test_searches_order_groups_and_audiences_go_by_the_primary(in_route: EnterRoute) -> None:
    keys = parted(in_route)
    force(100)
    light = User.objects.filter(preferences__theme="light")
    assert light.count() == len(keys)
    assert User.objects.filter(preferences=json.loads(BLOB)).count() == len(keys)
    assert set(light.values_list("preferences__theme", flat=True)) == {"light"}
    assert list(NotificationPreferences.objects.audience("email", "marketing")) == sorted(keys)
    groups = list(User.objects.values("preferences").annotate(users=Count("pk")))
    assert groups == [{"preferences": json.loads(BLOB), "users": len(keys)}]
    distinct = list(User.objects.order_by("preferences").values("preferences").distinct())
    assert distinct == [{"preferences": json.loads(BLOB)}]


def test_writes_start_from_the_primary(in_route: EnterRoute) -> None:
    merged, changed, made = parted(in_route, count=3)
    force(100)
    UserPreferences.objects.merge(merged, {"beta": 1})
    text = Cast(F("preferences"), models.TextField())
    User.objects.filter(pk=made).update(preferences=Cast(text, models.JSONField()))
    UserPreferences.objects.change({changed: {"beta": [1]}})
    for key in (merged, changed, made):
        assert json.loads(blob_text(key) or "")["theme"] == "light"


def test_a_missing_row_is_zero(in_route: EnterRoute) -> None:
    keys = parted(in_route, count=4)
    force(100)
    tamper("DELETE FROM waffle_sample WHERE name = 'prefs_canary_reads'")
    for read in READERS.values():
        assert read(keys) == dict.fromkeys(keys, json.loads(BLOB))


def test_the_bucket_is_of_the_key_s_text_in_utf_8(db: None) -> None:
    keys = [*range(-3, 200), 2**63 - 1]
    found = query(f"SELECT k, {bucket('k')} FROM unnest(%s::bigint[]) k", [keys])
    assert dict(found) == {key: bucket_of(key) for key in keys}
    uuids = [uuid.UUID(int=n * 2**100 + n) for n in range(50)]
    found = query(f"SELECT k, {bucket('k')} FROM unnest(%s::uuid[]) k", [uuids])
    assert dict(found) == {key: bucket_of(key) for key in uuids}


@pytest.mark.slow
def test_who_was_in_stays_in_as_the_canary_grows() -> None:
    served: set[int] = set()
    for tenths in range(1001):
        more = set(chosen(range(1, 2000), tenths / 10))
        assert served <= more
        served = more
    assert len(served) == 1999


def test_a_trigger_that_reads_before_the_capture_sees_the_tables_as_they_were(
    in_route: EnterRoute,
) -> None:
    """The one place where a canary shows: protocol.md says so."""
    [key] = parted(in_route, count=1)
    fill_tables([key], [BLOB])
    force(100)
    query("CREATE TEMPORARY TABLE seen (body jsonb)")
    query(
        "CREATE FUNCTION pg_temp.look() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO seen SELECT public.prefs_document(new.id)::jsonb; RETURN NULL; END$$"
    )
    for name in ("a_before_ours", "z_after_ours"):
        query(
            f"CREATE TRIGGER {name} AFTER UPDATE ON accounts_user FOR EACH ROW"
            " EXECUTE FUNCTION pg_temp.look()"
        )
    query("UPDATE accounts_user SET preferences = %s::jsonb WHERE id = %s", [TABLES, key])
    themes = [theme for (theme,) in query("SELECT body ->> 'theme' FROM seen")]
    assert themes == ["light", "dark"]
