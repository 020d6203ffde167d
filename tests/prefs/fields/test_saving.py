"""Saving a user stores what was changed in the document, and nothing else."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F, JSONField, Value
from django.db.models.signals import post_save, pre_save
from django.test.utils import CaptureQueriesContext

from prefs import instances
from prefs.codec import InvalidDocument, UndecodableDocument
from prefs.models import UserPreferences
from project.accounts.models import User
from tests.prefs.fields.people import BEFORE, ODD, add, exactly, statements, stored
from tests.support import stores
from tests.support.stores import Place

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
DARK = {**BEFORE, "theme": "dark"}
# By name, because mypy knows no field without a column.
ALONE: Any = ["preferences"]
AMONG: Any = ["first_name", "preferences"]
UNKNOWN: Any = ["preferences", "no_such"]


@pytest.mark.parametrize("document", [BEFORE, *ODD], ids=str)
def test_what_a_user_is_created_with_is_stored(place: Place, document: Any) -> None:
    users = (
        User.objects.create(username="a", preferences=document),
        User.objects.create_user("b", preferences=document),
    )
    assert [stored(place, user) for user in users] == [exactly(document)] * 2


def test_what_is_changed_in_a_new_user_is_stored(place: Place) -> None:
    user = User(username="a")
    user.preferences["theme"] = "dark"
    user.save()
    assert stored(place, user) == exactly({"theme": "dark"})


def test_a_new_user_with_no_preferences_costs_one_statement_and_has_none(place: Place) -> None:
    user = User(username="a")
    assert len(statements(user.save)) == 1
    assert stored(place, user) == "{}"
    assert user.preferences == {}


def test_a_new_user_gets_a_default_that_is_not_empty(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User._meta.get_field("preferences"), "default", lambda: {"theme": "dark"})
    monkeypatch.delattr(User._meta.get_field("preferences"), "_get_default", raising=False)
    user = User.objects.create(username="a")
    assert stored(place, user) == exactly({"theme": "dark"})


@pytest.mark.parametrize("document", [BEFORE, *ODD], ids=str)
def test_an_assigned_document_is_stored_and_so_is_what_takes_its_place(
    place: Place, document: Any
) -> None:
    user = add(place)
    for wanted in (document, BEFORE, document):
        user.preferences = wanted
        user.save()
        assert stored(place, user) == exactly(wanted)


@pytest.mark.parametrize("document", ODD, ids=str)
def test_a_document_that_was_read_becomes_any_other(place: Place, document: Any) -> None:
    user = add(place, document)
    assert exactly(user.preferences) == exactly(document)
    user.preferences = BEFORE
    user.save()
    assert stored(place, user) == exactly(BEFORE)


def change_in_place(document: dict[str, Any]) -> None:
    document["theme"] = "dark"
    document["notifications"]["email"]["marketing"] = True
    document["plugin"] = {"list": [1, {"a": None}]}
    del document["beta"]


def test_what_is_changed_in_place_is_stored(place: Place) -> None:
    user = add(place)
    change_in_place(user.preferences)
    expected = exactly(user.preferences)
    for _ in range(2):
        user.save()
        assert stored(place, user) == expected
    assert exactly(User.objects.get(pk=user.pk).preferences) == expected


STRICT = [(1, True), (1, 1.0), (0, False), (True, 1), (1.0, 1), (None, False), ([1], [True])]


@pytest.mark.parametrize(("before", "after"), STRICT)
def test_values_that_python_takes_for_equal_are_told_apart(
    place: Place, before: Any, after: Any
) -> None:
    user = add(place, {"x": {"y": before}})
    user.preferences["x"]["y"] = after
    user.save()
    assert stored(place, user) == exactly({"x": {"y": after}})


def test_bytes_that_told_no_values_apart_would_lose_a_change(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "bytes_of", lambda _: b"")
    user = add(place)
    user.preferences["theme"] = "dark"
    user.save()
    assert stored(place, user) == exactly(BEFORE)


SAME: dict[str, Callable[[User], None]] = {
    "unread": lambda _: None,
    "read": lambda user: user.preferences,
    "assigned again": lambda user: setattr(user, "preferences", user.preferences),
    "in another order": lambda user: setattr(
        user, "preferences", dict(reversed(user.preferences.items()))
    ),
    "changed and back": lambda user: user.preferences.update(user.preferences | {}),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("fields", [None, ["username"], ["username", "preferences"]])
def test_what_did_not_change_is_not_written(
    place: Place, name: str, fields: list[str] | None
) -> None:
    user = add(place, {"n": 1.5, "theme": "light"})
    SAME[name](user)
    sent = statements(lambda: user.save(update_fields=fields))
    assert len(sent) == 1
    assert "preferences" not in sent[0]


def test_digits_that_python_has_no_room_for_stay_as_they_are(place: Place) -> None:
    key = stores.insert_user(place, '{"pi": 3.141592653589793238462643383279, "one": 1.00}')
    user = User.objects.get(pk=key)
    user.preferences["theme"] = "dark"
    user.save()
    text = '{"pi": 3.141592653589793238462643383279, "one": 1.00, "theme": "dark"}'
    assert UserPreferences.objects.document_text(key) == stores.as_jsonb(text)


def test_a_document_python_cannot_decode_is_replaced_unread(place: Place) -> None:
    user = User.objects.get(pk=stores.insert_user(place, '{"n": ' + "9" * 6000 + "}"))
    with pytest.raises(UndecodableDocument):
        user.preferences["theme"] = "dark"
    user.preferences = {"theme": "dark"}
    user.save()
    assert stored(place, user) == exactly({"theme": "dark"})


# --- other writers ----------------------------------------------------------------------


def test_a_stale_instance_leaves_what_others_wrote(place: Place) -> None:
    one, other = add(place), None
    other = User.objects.get(pk=one.pk)
    one.preferences["theme"] = "dark"
    other.preferences["notifications"]["email"]["digest"] = "off"
    one.save()
    other.save()
    assert stored(place, one) == exactly(
        {**DARK, "notifications": {"email": {"digest": "off"}}},
    )


@committing
def test_a_second_save_does_not_take_away_what_others_added_meanwhile(place: Place) -> None:
    user = add(place)
    user.preferences["theme"] = "dark"
    user.save()
    UserPreferences.objects.merge(user.pk, {"theme": "system", "added": 1})
    user.preferences["beta"] = 2
    user.save()
    assert stored(place, user) == exactly({**BEFORE, "theme": "system", "beta": 2, "added": 1})


def test_what_is_assigned_unread_replaces_everything(place: Place) -> None:
    user = User.objects.defer("preferences").get(pk=add(place).pk)
    user.preferences = {"theme": "dark"}
    UserPreferences.objects.merge(user.pk, {"added": 1})
    user.save()
    assert stored(place, user) == exactly({"theme": "dark"})


# --- update_fields ----------------------------------------------------------------------


@pytest.fixture
def signals() -> Any:
    """What update_fields the signals of users carried, and what was stored by then."""
    seen: list[tuple[str, Any, Any]] = []

    def before(instance: User, update_fields: Any, **_: Any) -> None:
        seen.append(("pre", update_fields, None))

    def after(instance: User, update_fields: Any, **_: Any) -> None:
        seen.append(("post", update_fields, UserPreferences.objects.document(instance.pk)))

    pre_save.connect(before, sender=User)
    post_save.connect(after, sender=User)
    yield seen
    pre_save.disconnect(before, sender=User)
    post_save.disconnect(after, sender=User)


def test_preferences_alone_are_saved_alone(place: Place, signals: list[Any]) -> None:
    user = add(place)
    user.preferences["theme"], user.first_name = "dark", "unsaved"
    user.save(update_fields=ALONE)
    assert stored(place, user) == exactly(DARK)
    assert User.objects.get(pk=user.pk).first_name == ""
    only = frozenset({"preferences"})
    assert signals == [("pre", only, None), ("post", only, DARK)]


def test_preferences_are_saved_among_other_fields(place: Place, signals: list[Any]) -> None:
    user = add(place)
    user.preferences["theme"], user.first_name, user.last_name = "dark", "Ada", "unsaved"
    user.save(update_fields=AMONG)
    again = User.objects.get(pk=user.pk)
    assert (again.preferences, again.first_name, again.last_name) == (DARK, "Ada", "")
    both = frozenset({"first_name", "preferences"})
    assert signals == [("pre", both, None), ("post", both, DARK)]


def test_preferences_that_are_not_named_are_not_saved(place: Place, signals: list[Any]) -> None:
    user = add(place)
    user.preferences["theme"] = "dark"
    user.save(update_fields=["first_name"])
    user.save(update_fields=[])
    assert stored(place, user) == exactly(BEFORE)
    assert [fields for _, fields, _ in signals] == [frozenset({"first_name"})] * 2
    user.save()
    assert stored(place, user) == exactly(DARK)


@pytest.mark.parametrize("chosen", ["only", "defer"])
def test_a_user_with_deferred_fields_saves_its_preferences(place: Place, chosen: str) -> None:
    user = getattr(User.objects, chosen)("username").get(pk=add(place).pk)
    user.preferences["theme"] = "dark"
    user.save()
    assert stored(place, user) == exactly(DARK)


def test_receivers_see_what_was_stored(place: Place, signals: list[Any]) -> None:
    User.objects.create(username="a", preferences={"theme": "dark"})
    assert signals == [("pre", None, None), ("post", None, {"theme": "dark"})]


def test_a_receiver_may_save_the_user_again(place: Place) -> None:
    def again(instance: User, created: bool, **_: Any) -> None:
        if created:
            instance.preferences["received"] = True
            instance.save(update_fields=ALONE)

    post_save.connect(again, sender=User)
    try:
        user = User.objects.create(username="a", preferences={"theme": "dark"})
    finally:
        post_save.disconnect(again, sender=User)
    assert stored(place, user) == exactly({"theme": "dark", "received": True})


@pytest.mark.parametrize("fields", [["preferences"], None])
def test_saving_the_preferences_of_a_user_that_is_gone(
    place: Place, fields: list[str] | None
) -> None:
    user = add(place)
    user.preferences["theme"] = "dark"
    User.objects.filter(pk=user.pk).delete()
    if fields:
        with pytest.raises(DatabaseError, match="did not affect any rows"):
            user.save(update_fields=fields)
    else:
        user.save()
        assert stored(place, user) == exactly(DARK)


def test_a_field_that_does_not_exist_is_refused(place: Place) -> None:
    user = add(place)
    user.preferences["theme"] = "dark"
    with pytest.raises(ValueError, match="do not exist"):
        user.save(update_fields=UNKNOWN)
    assert stored(place, user) == exactly(BEFORE)


# --- other keys, other classes ------------------------------------------------------------


@pytest.mark.parametrize("read", [True, False])
def test_a_user_saved_under_a_new_key_takes_its_preferences_along(place: Place, read: bool) -> None:
    user = add(place)
    if read:
        assert user.preferences == BEFORE
    original, user.pk, user.username = user.pk, None, "copy"
    user._state.adding = True
    user.save()
    assert user.pk != original
    assert stored(place, user) == stored(place, original) == exactly(BEFORE)


def test_a_proxy_of_the_user_model_has_preferences(place: Place) -> None:
    class Colleague(User):
        class Meta:
            proxy = True
            app_label = "accounts"

    try:
        colleague = Colleague.objects.get(pk=add(place).pk)
        colleague.preferences["theme"] = "dark"
        colleague.save()
        assert stored(place, colleague.pk) == exactly(DARK)
        assert Colleague.objects.filter(preferences__theme="dark").count() == 1
    finally:
        del User._meta.apps.all_models["accounts"]["colleague"]
        User._meta.apps.clear_cache()


def test_an_expression_is_stored_as_what_it_is(place: Place) -> None:
    user = add(place, {"a": {"b": 1}})
    user.preferences = F("preferences__a")
    user.save()
    assert stored(place, user) == exactly({"b": 1})
    user.refresh_from_db()
    assert user.preferences == {"b": 1}


def test_json_null_is_told_from_sql_null(place: Place) -> None:
    null = User.objects.create(username="a", preferences=Value(None, JSONField()))
    nothing = User.objects.create(username="b", preferences=None)
    texts = UserPreferences.objects.texts([null.pk, nothing.pk])
    assert texts == {null.pk: "null", nothing.pk: None}


def test_the_encoder_of_the_field_is_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(User._meta.get_field("preferences"), "encoder", DjangoJSONEncoder)
    user = add(place)
    user.preferences["since"] = dt.date(2026, 11, 23)
    user.preferences[5] = "five"
    user.save()
    assert stored(place, user) == exactly({**BEFORE, "since": "2026-11-23", "5": "five"})


# --- transactions -------------------------------------------------------------------------

REFUSED: dict[str, Any] = {"not a number": math.nan, "NUL": "\x00", "surrogate": "\ud800"}


@committing
@pytest.mark.parametrize("name", REFUSED)
def test_row_and_document_are_saved_together_or_not_at_all(place: Place, name: str) -> None:
    user = add(place)
    user.first_name, user.preferences["x"] = "Ada", REFUSED[name]
    with pytest.raises(InvalidDocument, match=f"user {user.pk} were not changed"):
        user.save()
    assert User.objects.get(pk=user.pk).first_name == ""
    assert stored(place, user) == exactly(BEFORE)
    user.preferences["x"] = 1
    user.save()
    assert stored(place, user) == exactly({**BEFORE, "x": 1})
    with pytest.raises(InvalidDocument):
        User.objects.create(username="new", preferences={"x": REFUSED[name]})
    assert not User.objects.filter(username="new").exists()


@committing
def test_a_failed_insert_stores_no_document(place: Place) -> None:
    taken = add(place)
    with pytest.raises(IntegrityError):
        User.objects.create(username=taken.username, preferences={"theme": "dark"})
    assert User.objects.count() == 1


@committing
@pytest.mark.parametrize("fields", [None, ["preferences"]])
def test_what_was_rolled_back_is_saved_by_a_second_save(
    place: Place, fields: list[str] | None
) -> None:
    user = add(place)
    user.preferences["theme"] = "dark"
    with transaction.atomic():
        user.save(update_fields=fields)
        transaction.set_rollback(True)
    assert stored(place, user) == exactly(BEFORE)
    user.save(update_fields=fields)
    assert stored(place, user) == exactly(DARK)


@committing
def test_what_a_savepoint_rolled_back_is_saved_by_a_second_save(place: Place) -> None:
    user = add(place)
    with transaction.atomic():
        with transaction.atomic():
            user.preferences["theme"] = "dark"
            user.save()
            transaction.set_rollback(True)
        user.save()
    user.preferences["beta"] = 2
    user.save()
    assert stored(place, user) == exactly({**DARK, "beta": 2})


@committing
def test_a_change_that_is_taken_back_in_the_same_transaction_is_taken_back(place: Place) -> None:
    user = add(place)
    with transaction.atomic():
        for theme in ("dark", "light", "dark", "light"):
            user.preferences["theme"] = theme
            user.save()
    assert stored(place, user) == exactly(BEFORE)


@committing
def test_several_saves_that_were_rolled_back_are_saved_by_one(place: Place) -> None:
    user = add(place)
    with transaction.atomic():
        for name in ("one", "two"):
            user.preferences[name] = True
            user.save()
        transaction.set_rollback(True)
    user.save()
    assert stored(place, user) == exactly({**BEFORE, "one": True, "two": True})


@committing
def test_a_user_whose_insertion_was_rolled_back_is_inserted_again(place: Place) -> None:
    user = User(username="a", preferences={"theme": "dark"})
    with transaction.atomic():
        user.save()
        user.save()
        transaction.set_rollback(True)
    user.save()
    assert stored(place, user) == exactly({"theme": "dark"})


@committing
@pytest.mark.parametrize("changed_since", [False, True])
def test_what_was_loaded_in_a_transaction_that_ended_is_compared_with_what_is_stored(
    place: Place, changed_since: bool
) -> None:
    """Nobody can tell whether it was rolled back: what others wrote since is then written over."""
    user = add(place)
    with transaction.atomic():
        UserPreferences.objects.merge(user.pk, {"added": 1})
        user.refresh_from_db()
        assert user.preferences == {**BEFORE, "added": 1}
    if changed_since:
        UserPreferences.objects.merge(user.pk, {"added": 2})
    user.preferences["beta"] = 2
    user.save()
    assert stored(place, user) == exactly({**BEFORE, "added": 1, "beta": 2})
    UserPreferences.objects.merge(user.pk, {"added": 3})
    user.preferences["beta"] = 3
    user.save()
    assert stored(place, user) == exactly({**BEFORE, "added": 3, "beta": 3})


def test_a_user_whose_preferences_nobody_read_is_saved_as_before(place: Place) -> None:
    user = add(place)
    with CaptureQueriesContext(connection) as captured:
        user.save()
        user.save(update_fields=["username"])
    assert [query["sql"].split()[0] for query in captured] == ["UPDATE", "UPDATE"]
