"""Writes of text, on condition: the ETag is compared under the user's lock, in every route."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from prefs import managers
from prefs.codec import InvalidDocument
from prefs.etags import PreconditionFailed, etag_of
from prefs.models import NotificationPreferences, UserPreferences
from prefs.routing import Route
from prefs.sql import writes
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.sessions import PATIENCE, second_session, waits_behind_us
from tests.support.stores import Place
from tests.support.tampering import tamper, turn

pytestmark = pytest.mark.django_db(transaction=True)

LIGHT, DARK = '{"theme": "light"}', '{"theme": "dark"}'
MERGE, REPLACE = UserPreferences.objects.merge_text, UserPreferences.objects.replace_text
every_write = pytest.mark.parametrize("write", [MERGE, REPLACE], ids=["merge", "replace"])
Write = Callable[..., str | None]


@every_write
def test_text_is_stored_as_it_came(place: Place, write: Write) -> None:
    user = stores.insert_user(place, LIGHT)
    text = '{"theme": "dark", "n": 12345678901234567890.10, "z": {"y": 1e2, "x": 1.0}}'
    assert write(user, text) == stores.as_jsonb(text) == stores.primary_text(place, user)
    assert not place.route.mirrored or not stores.differ(user)


@every_write
@pytest.mark.parametrize("text", ["", "{", '{"a": 1, "a": 2}', '{"x": NaN}', '{"x": "\\ud800"}'])
def test_text_that_would_not_be_stored_as_it_is_is_refused(
    in_route: EnterRoute, write: Write, text: str
) -> None:
    user = stores.insert_user(in_route(Place.TABLES), LIGHT)
    with transaction.atomic(), pytest.raises(InvalidDocument, match=f"user {user} "):
        write(user, text)
    assert stores.primary_text(Place.TABLES, user) == LIGHT


@every_write
def test_a_write_is_done_where_its_etag_is_that_of_the_document(place: Place, write: Write) -> None:
    user = stores.insert_user(place, LIGHT)
    with pytest.raises(PreconditionFailed) as failed:
        write(user, DARK, if_match=[etag_of(DARK), f"W/{etag_of(LIGHT)}"])
    assert failed.value.etag == etag_of(LIGHT)
    assert str(user) in str(failed.value)
    assert stores.primary_text(place, user) == LIGHT
    assert write(user, DARK, if_match=['"other"', etag_of(LIGHT)]) == DARK
    assert write(user, LIGHT, if_match=["*"]) == LIGHT
    with pytest.raises(PreconditionFailed):
        write(user, DARK, if_match=[])


def test_sql_null_has_the_etag_of_null(place: Place) -> None:
    user = stores.insert_user(place, None)
    assert MERGE(user, "{}", if_match=[etag_of("null")]) == "{}"


def overtaken(place: Place, write: Write) -> None:
    """Change a document and hold it; begin a write with the ETag from before; then commit."""
    user = stores.insert_user(place, LIGHT)
    with second_session() as session:
        with transaction.atomic():
            UserPreferences.objects.merge(user, {"first": 1})
            late = session.start(partial(write, user, DARK, if_match=[etag_of(LIGHT)]))
            assert waits_behind_us(session, late)
        with pytest.raises(PreconditionFailed) as failed:
            late.result(PATIENCE)
    assert failed.value.etag == etag_of(UserPreferences.objects.document_text(user))
    assert UserPreferences.objects.document(user) == {"theme": "light", "first": 1}


@every_write
def test_a_write_that_waited_for_another_is_compared_with_what_that_one_left(
    place: Place, write: Write
) -> None:
    overtaken(place, write)


@every_write
def test_that_check_notices_an_etag_that_is_compared_before_the_lock(
    in_route: EnterRoute, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = in_route(Place.TABLES_MIRRORED)
    compare_before_the_lock(monkeypatch.setattr)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        overtaken(place, write)


def compare_before_the_lock(setattr_: Callable[[Any, str, Any], None]) -> None:
    """Break the protocol: the ETag is compared before the user's lock is waited for."""
    compare, lock = managers._refuse_others, managers._lock
    asked: dict[Any, Any] = {}

    def early(cursor: Any, key: Any) -> Route:
        cursor.execute(writes.lock().replace("FOR NO KEY UPDATE OF u", ""), {"user": key})
        route = managers._route(*cursor.fetchone())
        if key in asked:
            compare(cursor, route, key, asked[key])
        return lock(cursor, key)

    write = managers.UserPreferencesManager._write

    def remembered(
        manager: Any, key: Any, incoming: str, text: str, unknown: Any, if_match: Any = None
    ) -> Any:
        if if_match is not None:
            asked[key] = if_match
        try:
            return write(manager, key, incoming, text, unknown, if_match)
        finally:
            asked.pop(key, None)

    setattr_(managers, "_lock", early)
    setattr_(managers, "_refuse_others", lambda *_: None)
    setattr_(managers.UserPreferencesManager, "_write", remembered)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Place.BLOB_MIRRORED, Place.TABLES_MIRRORED),
        (Place.TABLES_MIRRORED, Place.BLOB_MIRRORED),
    ],
    ids=["cutover", "back"],
)
def test_the_etag_is_of_the_store_that_the_write_goes_by(
    in_route: EnterRoute, before: Place, after: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flip that commits between the lock and the comparison waits for this write to end."""
    user = stores.insert_user(in_route(before), LIGHT)
    behind = stores.fill_tables if after.route.reads_tables else _fill_blobs
    behind([user], [DARK])
    lock = managers._lock
    with second_session() as session:

        def locked(cursor: Any, key: Any) -> Route:
            route = lock(cursor, key)
            session.run(lambda: turn(after.route))
            return route

        monkeypatch.setattr(managers, "_lock", locked)
        with pytest.raises(PreconditionFailed) as failed:
            MERGE(user, '{"x": 1}', if_match=[etag_of(DARK)])
    assert failed.value.etag == etag_of(LIGHT)


def _fill_blobs(users: list[int], texts: list[str | None]) -> None:
    for user, text in zip(users, texts, strict=True):
        stores.fill_blob(user, text)


def test_what_a_canary_reads_does_not_decide_what_is_written(in_route: EnterRoute) -> None:
    """Its tables may be damaged; the blob is what the write goes by."""
    user = stores.insert_user(in_route(Place.BLOB_MIRRORED), LIGHT)
    stores.fill_tables([user], [DARK])
    tamper("UPDATE waffle_sample SET percent = 100 WHERE name = 'prefs_canary_reads'")
    assert UserPreferences.objects.document_text(user) == DARK
    with pytest.raises(PreconditionFailed) as failed:
        MERGE(user, '{"x": 1}', if_match=[etag_of(DARK)])
    assert failed.value.etag == etag_of(LIGHT)
    tamper("UPDATE waffle_sample SET percent = 0 WHERE name = 'prefs_canary_reads'")


def test_in_tables_a_row_that_raw_sql_writes_meanwhile_is_compared_too(
    in_route: EnterRoute,
) -> None:
    user = stores.insert_user(in_route(Place.TABLES), LIGHT)
    with second_session() as session:
        with transaction.atomic():
            stores.query("UPDATE user_preferences SET language = 'fr' WHERE user_id = %s", [user])
            late = session.start(partial(REPLACE, user, DARK, if_match=[etag_of(LIGHT)]))
            assert waits_behind_us(session, late)
        with pytest.raises(PreconditionFailed):
            late.result(PATIENCE)
    assert UserPreferences.objects.document(user) == {"theme": "light", "language": "fr"}


def test_every_public_method_has_a_twin_that_does_the_same(place: Place) -> None:
    user = stores.insert_user(place, LIGHT)
    documents, messages = UserPreferences.objects, NotificationPreferences.objects

    async def through() -> list[Any]:
        on = {"notifications": {"email": {"marketing": True}}}
        return [
            await documents.adocument(user),
            await documents.adocument_text(user),
            await documents.adocuments([user, stores.NOBODY]),
            await documents.areplace(user, {"a": 1}),
            await documents.amerge(user, {"b": 2}),
            await documents.areplace_text(user, DARK, if_match=[etag_of('{"a": 1, "b": 2}')]),
            await documents.amerge_text(user, '{"c": 1.0}'),
            await documents.achange({user: on_wrapped(on)}),
            [key async for key in messages.aaudience("email", "marketing") if key == user],
        ]

    found = async_to_sync(through)()
    marked = '{"c": 1.0, "theme": "dark", "notifications": {"email": {"marketing": true}}}'
    assert found == [
        *({"theme": "light"}, LIGHT, {user: {"theme": "light"}}),
        *({"a": 1}, {"a": 1, "b": 2}, DARK, '{"c": 1.0, "theme": "dark"}'),
        *({user: marked}, [user]),
    ]


def on_wrapped(patch: dict[str, Any]) -> dict[str, Any]:
    """A patch as a change, whose values are wrapped."""
    return {
        key: on_wrapped(each) if isinstance(each, dict) else [each] for key, each in patch.items()
    }


def test_a_twin_raises_what_the_method_does(in_route: EnterRoute) -> None:
    user = stores.insert_user(in_route(Place.TABLES), LIGHT)
    with pytest.raises(PreconditionFailed):
        async_to_sync(UserPreferences.objects.amerge_text)(user, "{}", if_match=['"x"'])
    with pytest.raises(InvalidDocument):
        async_to_sync(UserPreferences.objects.areplace)(user, {"theme": "mauve"})


def test_there_is_a_twin_of_each() -> None:
    for manager in (UserPreferences.objects, NotificationPreferences.objects):
        ours = {name for name in vars(type(manager)) if not name.startswith("_")}
        named = {name for name in ours if not (name[0] == "a" and name[1:] in ours)}
        without = named - {"get_queryset", "change_texts", "merge_each", "printed"}
        assert {f"a{name}" for name in without} <= ours
