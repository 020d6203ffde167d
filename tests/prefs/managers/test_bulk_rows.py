"""Bulk writes by the ORM on the typed tables: what they leave alone, refuse, and cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F

from prefs import bulk
from prefs.codec import InvalidDocument
from prefs.models import NotificationPreferences, UserPreferences
from prefs.patches import NotALeaf, NotAValue
from prefs.routing import Route
from tests.prefs.fields.people import statements
from tests.support import stores
from tests.support.steps import held_open, in_thread, until, waiting_for_locks
from tests.support.stores import NOBODY, Place, insert_user, insert_users, versions

pytestmark = pytest.mark.django_db

DOCUMENT = '{"theme": "dark", "beta": 1, "notifications": {"email": {"marketing": true}}}'


def _stored(place: Place, users: list[int]) -> list[Any]:
    """What the primary of the route has; the mirror must have the same."""
    assert not place.route.mirrored or not any(map(stores.differ, users))
    return [json.loads(stores.primary_text(place, user) or "null") for user in users]


@pytest.fixture
def _chunks_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefs.rows.CHUNK", 2)


@pytest.mark.parametrize("text", [DOCUMENT, "null", None, "5", '{"theme": null}', "{}"])
def test_ignored_conflicts_leave_the_document_of_whoever_has_one_alone(
    place: Place, text: str | None
) -> None:
    """Case A15: a row that is there is left alone, by `bulk_create` with `ignore_conflicts`."""
    user = insert_user(place, text)
    stores.fill_tables([user], [text if place.route.writes_tables else stores.DECOY])
    before = versions(user)
    for _ in range(2):
        rows = (UserPreferences(user_id=user, theme="light", language="fr") for _ in range(2))
        created = UserPreferences.objects.bulk_create(rows, ignore_conflicts=True)
        wants = NotificationPreferences(user_id=user, email_marketing=False)
        NotificationPreferences.objects.bulk_create([wants], ignore_conflicts=True)
        assert versions(user) == before
        assert [row._state.adding for row in created] == [True, True]


def test_ignored_conflicts_leave_a_document_alone_that_was_never_copied(place: Place) -> None:
    """Case A15: where the blob is read, its document is the row that is there."""
    user = insert_user(place, DOCUMENT)
    stores.delete_rows(user)
    row = UserPreferences(user_id=user, theme="light")
    UserPreferences.objects.bulk_create([row], ignore_conflicts=True)
    stored = json.loads(stores.primary_text(place, user) or "null")
    assert stored == ({"theme": "light"} if place.route.reads_tables else json.loads(DOCUMENT))


def test_ignored_conflicts_store_what_is_in_conflict_with_nothing(place: Place) -> None:
    """Case A15: the first row of a user who has nothing is stored, and the second is ignored."""
    users = insert_users(place, ["{}", "{}"])
    for user in users:
        stores.delete_rows(user)
    rows = [
        UserPreferences(user_id=user, theme=theme)
        for theme in ("dark", "light")
        for user in reversed(users)
    ]
    assert UserPreferences.objects.bulk_create(rows, ignore_conflicts=True) == rows
    assert _stored(place, users) == [{"theme": "dark"}] * 2
    assert [row._state.adding for row in rows] == [False, False, True, True]


def test_updated_conflicts_update_the_named_fields_of_whoever_has_a_row(place: Place) -> None:
    """Case A15: `update_conflicts` merges `update_fields`, and all fields where no row is."""
    users = insert_users(place, [DOCUMENT, "{}", None])
    stores.delete_rows(users[1])
    left = {key: value for key, value in json.loads(DOCUMENT).items() if key != "theme"}
    rows = [UserPreferences(user_id=user, theme=None, language="fr") for user in users]
    rows[1].theme = "light"
    for _ in range(2):
        UserPreferences.objects.bulk_create(
            (row for row in rows),
            update_conflicts=True,
            update_fields=["theme"],
            unique_fields=["user"],
        )
        assert _stored(place, users) == [left, {"theme": "light", "language": "fr"}, {}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ignore_conflicts": True, "update_conflicts": True}, "mutually exclusive"),
        ({"update_conflicts": True, "unique_fields": ["user"]}, "needs update_fields"),
        ({"update_conflicts": True, "update_fields": ["theme"]}, r"expected \['user'\]"),
        (
            {"update_conflicts": True, "update_fields": ["theme"], "unique_fields": ["theme"]},
            r"unique_fields is \['theme'\]; expected \['user'\]",
        ),
        (
            {"update_conflicts": True, "update_fields": ["residue"], "unique_fields": ["pk"]},
            "residue cannot be set",
        ),
        ({"batch_size": 0}, "positive integer"),
    ],
    ids=str,
)
def test_options_of_bulk_create_without_a_meaning_are_refused(
    table_place: Place, options: dict[str, Any], message: str
) -> None:
    """Case A15: an option is never silently ignored."""
    user = insert_user(table_place, DOCUMENT)
    with pytest.raises(ValueError, match=message):
        UserPreferences.objects.bulk_create(
            [UserPreferences(user_id=user, theme="light")], **options
        )
    assert _stored(table_place, [user]) == [json.loads(DOCUMENT)]


def test_rows_of_one_user_are_merged_in_the_order_of_the_list(place: Place) -> None:
    """Case A15: duplicates within the list, in a plain `bulk_create` and `bulk_update`."""
    user = insert_user(place, DOCUMENT)
    rows = [
        UserPreferences(user_id=user, theme="light", language="fr"),
        UserPreferences(user_id=str(user), theme="system"),
    ]
    UserPreferences.objects.bulk_create(rows, batch_size=1)
    [document] = _stored(place, [user])
    assert (document["theme"], document["language"]) == ("system", "fr")
    fields = (name for name in ("theme", "language"))
    assert UserPreferences.objects.bulk_update(reversed(rows), fields) == 2
    [document] = _stored(place, [user])
    assert (document["theme"], document["language"], document["beta"]) == ("light", "fr", 1)


BULK: dict[str, Callable[[list[int]], Any]] = {
    "update": lambda users: UserPreferences.objects.filter(pk__in=users).update(theme="system"),
    "bulk_create": lambda users: UserPreferences.objects.bulk_create(
        [UserPreferences(user_id=user, theme="system") for user in users]
    ),
    "bulk_update": lambda users: UserPreferences.objects.bulk_update(
        [UserPreferences(user_id=user, theme="system") for user in users], ["theme"]
    ),
}


@pytest.mark.parametrize("write", BULK.values(), ids=BULK.keys())
def test_bulk_writes_send_a_fixed_number_of_statements_a_chunk(
    place: Place, write: Callable[[list[int]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case A16: a thousand rows are one lock and one write, and not four statements each."""
    users = insert_users(place, [DOCUMENT] * 25)
    few = len(statements(lambda: write(users[:1])))
    # In TABLES the typed rows are locked as well, table by table: raw SQL may be writing them.
    most = 7 if place.route is Route.TABLES else 5
    assert len(statements(lambda: write(users))) == few <= most
    monkeypatch.setattr("prefs.rows.CHUNK", 10)
    assert len(statements(lambda: write(users))) <= 3 * few
    assert [each["theme"] for each in _stored(place, users)] == ["system"] * 25
    assert [each["beta"] for each in _stored(place, users)] == [1] * 25


@pytest.mark.usefixtures("_chunks_of_two")
def test_update_writes_every_row_once_and_counts_them(place: Place) -> None:
    """Case A16: as many as there are, over the ends of chunks, each in its stores."""
    users = insert_users(place, [DOCUMENT] * 5)
    chosen = UserPreferences.objects.filter(pk__in=users)
    for _ in range(2):
        assert chosen.update(theme="light", language=None) == 5
        assert [each["theme"] for each in _stored(place, users)] == ["light"] * 5
    assert chosen.filter(theme="none such").update(theme="dark") == 0
    assert chosen.update() == 5


def test_update_leaves_a_row_alone_that_the_queryset_does_not_select(table_place: Place) -> None:
    """Case A16: the filter holds, though an update changes what it asks for."""
    users = insert_users(table_place, [DOCUMENT, '{"theme": "light"}', DOCUMENT])
    chosen = UserPreferences.objects.filter(pk__in=users, theme="dark")
    assert chosen.update(theme="system") == 2
    assert [e["theme"] for e in _stored(table_place, users)] == ["system", "light", "system"]
    assert chosen.update(theme="system") == 0


@pytest.mark.django_db(transaction=True)
def test_update_asks_again_which_rows_are_meant_once_it_has_the_lock(table_place: Place) -> None:
    """Case A16: what another session wrote while the update waited is not overwritten."""
    user = insert_user(table_place, DOCUMENT)
    meant = UserPreferences.objects.filter(theme="dark")
    with held_open(lambda: UserPreferences.objects.merge(user, {"theme": "system"})):
        update = in_thread(lambda: meant.update(theme="light"))
        until(lambda: waiting_for_locks() > 0)
    assert update.result(30) == 0
    assert UserPreferences.objects.document(user)["theme"] == "system"


@pytest.mark.usefixtures("_chunks_of_two")
@pytest.mark.parametrize("write", ["update", "bulk_create", "bulk_update"])
def test_a_leaf_that_does_not_fit_is_refused_by_name_and_nothing_is_written(
    place: Place, write: str
) -> None:
    """Case A16: leaves are tested as in a merge, for all rows or for none."""
    users = insert_users(place, [DOCUMENT] * 3)
    before = list(map(versions, users))
    rows = [UserPreferences(user_id=user, theme="dark") for user in users]
    rows[2].theme, rows[2].timezone = "purple", "Mars/Olympus"
    chosen = UserPreferences.objects.filter(pk__in=users)
    work: Callable[[], Any] = {
        "update": lambda: chosen.update(theme="purple", timezone="Mars/Olympus"),
        "bulk_create": lambda: UserPreferences.objects.bulk_create(rows),
        "bulk_update": lambda: UserPreferences.objects.bulk_update(rows, ["theme", "timezone"]),
    }[write]
    with transaction.atomic(), pytest.raises(InvalidDocument) as refusal:
        work()
    assert list(refusal.value.errors) == ["theme", "timezone"]
    assert refusal.value.user_id == users[0 if write == "update" else 2]
    assert list(map(versions, users)) == before


def test_a_value_that_is_stored_already_is_not_refused(place: Place) -> None:
    """Case A16: what is in quarantine may stay there, as in a merge."""
    text = '{"theme": "purple", "timezone": "Mars/Olympus", "items_per_page": 10}'
    [user] = insert_users(place, [text])
    stores.fill_tables([user], [text if place.route.writes_tables else stores.DECOY])
    rows = UserPreferences.objects.filter(pk=user)
    assert rows.update(theme="purple", timezone="Mars/Olympus", language="fr") == 1
    with pytest.raises(InvalidDocument, match=r"items_per_page: 10\.0"):
        rows.update(items_per_page=10.0)
    assert _stored(place, [user]) == [{**json.loads(text), "language": "fr"}]


def test_a_document_that_would_grow_past_its_bound_is_refused(place: Place, settings: Any) -> None:
    """Case A16: the bound of a merge holds, and a document that is longer already may shrink."""
    [long, short] = insert_users(place, ['{"x": "' + "y" * 90 + '", "theme": "system"}', "{}"])
    for user in (long, short):
        UserPreferences.objects.merge(user, {"theme": "system"})
    settings.PREFS_MAX_DOCUMENT_BYTES = 60
    rows = [UserPreferences(user_id=user, theme="dark") for user in (long, short)]
    UserPreferences.objects.bulk_create(rows)
    rows = [UserPreferences(user_id=user, language="pt-BR") for user in (short, long)]
    with pytest.raises(InvalidDocument, match=r"bytes; expected at most 60") as refusal:
        UserPreferences.objects.bulk_create(rows)
    assert refusal.value.user_id == long


@pytest.mark.parametrize("key", [NOBODY, None, "nonsense"], ids=str)
def test_rows_of_nobody_are_refused_and_nothing_is_written(place: Place, key: Any) -> None:
    """Cases A15 and A16: a user who is not there, in a list with one who is."""
    user = insert_user(place, DOCUMENT)
    rows = [UserPreferences(user_id=each, theme="light") for each in (user, key)]
    with pytest.raises(get_user_model().DoesNotExist, match=str(key)), transaction.atomic():
        UserPreferences.objects.bulk_create(rows)
    with pytest.raises((get_user_model().DoesNotExist, ValueError)), transaction.atomic():
        UserPreferences.objects.bulk_update(rows, ["theme"])
    assert _stored(place, [user]) == [json.loads(DOCUMENT)]


def test_an_expression_is_refused_and_so_is_what_is_no_leaf(table_place: Place) -> None:
    """Case A16: typed rows may be older than the document, so nothing is made of them."""
    user = insert_user(table_place, DOCUMENT)
    rows = UserPreferences.objects.filter(pk=user)
    with pytest.raises(NotAValue, match=r"F\(theme\) is an expression"):
        rows.update(language=F("theme"))
    with pytest.raises(NotALeaf, match="residue"):
        rows.filter(theme="none such").update(residue={})
    with pytest.raises(NotALeaf, match="user"):
        UserPreferences.objects.bulk_update(rows, ["user"])
    with pytest.raises(ValueError, match="Field names must be given"):
        UserPreferences.objects.bulk_update(rows, [])
    with pytest.raises(TypeError, match="slice"):
        UserPreferences.objects.all()[:1].update(theme="light")
    assert _stored(table_place, [user]) == [json.loads(DOCUMENT)]


def test_a_deferred_field_that_is_named_is_not_unset(table_place: Place) -> None:
    """Case A15: what an instance never loaded it cannot save."""
    user = insert_user(table_place, DOCUMENT)
    row = UserPreferences.objects.only("language").get(pk=user)
    row.save(update_fields=["theme"])
    UserPreferences.objects.bulk_update([row], ["theme"])
    assert _stored(table_place, [user]) == [json.loads(DOCUMENT)]


def test_a_new_row_is_saved_as_often_as_one_likes(place: Place) -> None:
    """Case A15: a row that was made here, saved, changed and saved again, by each of the ways."""
    user = insert_user(place, DOCUMENT)
    row = UserPreferences(user_id=user, theme="light")
    for theme in ("system", "light"):
        row.save()
        row.theme = theme
        UserPreferences.objects.bulk_create([row])
        row.language = "fr"
        row.save(update_fields=["theme"])
    assert _stored(place, [user]) == [{**json.loads(DOCUMENT), "theme": "light", "language": "fr"}]


def test_a_chunk_takes_no_key_twice() -> None:
    """Case A15: the second row of a user comes after the first."""
    pairs = [(1, "a"), (2, "b"), (2, "c"), (3, "d"), (4, "e")]
    assert list(bulk.chunks(pairs, 2)) == [{1: "a", 2: "b"}, {2: "c", 3: "d"}, {4: "e"}]
