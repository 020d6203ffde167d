"""Reads give the same answers in every route, and touch the store that is read alone."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from prefs.codec import UndecodableDocument, UnprintableDocument
from prefs.models import UserPreferences
from prefs.routing import SWITCHES, MissingSwitch
from tests.support.stores import (
    NOBODY,
    Place,
    as_jsonb,
    delete_rows,
    insert_user,
    insert_users,
)
from tests.support.tampering import remove_switches

pytestmark = pytest.mark.django_db

DOCUMENTS = {
    "empty": "{}",
    "typed alone": '{"theme": "dark", "notifications": {"quiet_hours": {"start": "22:00"}}}',
    "residue alone": '{"items_per_page": 10.0, "beta": [1, {"x": null}], "notifications": {}}',
    "both": '{"theme": "light", "theme2": "x", "notifications": {"email": {"digest": "daily",'
    ' "extra": 1, "marketing": true}, "sms": []}, "language": null}',
    "array": '["theme", "dark"]',
    "string": '"dark"',
    "number": "10.50",
    "long number": '{"n": 123456789012345678901234567890}',
}
# PostgreSQL stores 16,000 levels; how many Python decodes depends on its version.
DEEP = "[" * 12_000 + "]" * 12_000
LONG = '{"n": ' + "9" * 6000 + "}"
UNPRINTABLE = '{"theme": [' + ",".join(["1e131071"] * 9000) + "]}"


def decodes(text: str) -> bool:
    """Whether this Python decodes it."""
    try:
        json.loads(text)
    except (RecursionError, ValueError):
        return False
    return True


UNDECODABLE = {
    name: text
    for name, text in {"12,000 levels": DEEP, "6000 digits": LONG}.items()
    if not decodes(text)
}


@pytest.mark.parametrize("text", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_document_reads_the_same_in_every_route(place: Place, text: str) -> None:
    user = insert_user(place, text)
    assert UserPreferences.objects.document_text(user) == as_jsonb(text)
    assert UserPreferences.objects.document(user) == json.loads(text)
    assert UserPreferences.objects.documents([user]) == {user: json.loads(text)}


@pytest.mark.parametrize("text", [None, "null"])
def test_sql_null_and_json_null_read_as_none(place: Place, text: str | None) -> None:
    user = insert_user(place, text)
    assert UserPreferences.objects.document(user) is None
    assert UserPreferences.objects.documents([user]) == {user: None}
    assert UserPreferences.objects.document_text(user) == text


def test_documents_leaves_unknown_users_out(place: Place) -> None:
    users = insert_users(place, ['{"theme": "dark"}', None, "[1]", '{"theme": "light"}'])
    asked = (key for key in [users[2], NOBODY, users[0], users[1], users[0]])
    assert UserPreferences.objects.documents(asked) == {
        users[0]: {"theme": "dark"},
        users[1]: None,
        users[2]: [1],
    }
    assert UserPreferences.objects.documents([]) == {}


def test_a_user_is_named_by_anything_their_key_can_be_made_of(place: Place) -> None:
    user = insert_user(place, '{"theme": "dark"}')
    assert UserPreferences.objects.document(str(user)) == {"theme": "dark"}
    assert UserPreferences.objects.documents([str(user)]) == {user: {"theme": "dark"}}


@pytest.mark.parametrize("key", [NOBODY, -1, None, 2**70], ids=str)
def test_an_unknown_user_is_the_user_models_does_not_exist(place: Place, key: int | None) -> None:
    known = insert_user(place, '{"theme": "dark"}')
    unknown = get_user_model().DoesNotExist
    with pytest.raises(unknown, match=str(key)):
        UserPreferences.objects.document(key)
    with pytest.raises(unknown, match=str(key)):
        UserPreferences.objects.document_text(key)
    assert UserPreferences.objects.documents([key, known]) == {known: {"theme": "dark"}}


def test_a_deep_document_is_read_whole_or_named_by_any_python(place: Place) -> None:
    """Case C18: 3.11 decodes 993 levels and 3.13 ten times as many; no level is lost in any."""
    user = insert_user(place, DEEP)
    assert UserPreferences.objects.document_text(user) == DEEP
    if not decodes(DEEP):
        with pytest.raises(UndecodableDocument, match="RecursionError"):
            UserPreferences.objects.document(user)
        return
    level, levels = UserPreferences.objects.document(user), 1
    while level:
        [level], levels = level, levels + 1
    assert levels == 12_000


@pytest.mark.parametrize("text", UNDECODABLE.values(), ids=UNDECODABLE.keys())
def test_what_python_cannot_decode_is_named_and_its_text_still_reads(
    place: Place, text: str
) -> None:
    """Case C18: whatever that is, by the Python that runs."""
    user = insert_user(place, text)
    with pytest.raises(UndecodableDocument, match=rf"user {user} .*document_text\({user}\)"):
        UserPreferences.objects.document(user)
    with pytest.raises(UndecodableDocument, match=f"user {user} "):
        UserPreferences.objects.documents([insert_user(place, "{}"), user])
    assert UserPreferences.objects.document_text(user) == text


@pytest.mark.slow
def test_a_document_too_long_to_print_is_named_and_spoils_no_transaction(place: Place) -> None:
    other = insert_user(place, '{"theme": "dark"}')
    user = insert_user(place, UNPRINTABLE)
    with transaction.atomic():
        with pytest.raises(UnprintableDocument, match=f"user {user} "):
            UserPreferences.objects.document(user)
        assert UserPreferences.objects.document(other) == {"theme": "dark"}


def test_a_user_without_typed_rows_reads_as_empty_from_the_tables(table_place: Place) -> None:
    user = insert_user(table_place, '{"theme": "dark"}')
    delete_rows(user)
    assert UserPreferences.objects.document(user) == {}
    assert UserPreferences.objects.document_text(user) == "{}"
    assert UserPreferences.objects.documents([user]) == {user: {}}


@pytest.mark.parametrize("missing", [SWITCHES[:1], SWITCHES[1:], SWITCHES], ids=" and ".join)
def test_a_missing_switch_stops_every_read(place: Place, missing: tuple[str, ...]) -> None:
    user = insert_user(place, '{"theme": "dark"}')
    remove_switches(*missing)
    named = f"{' and '.join(missing)} is missing.*status_prefs"
    with pytest.raises(MissingSwitch, match=named):
        UserPreferences.objects.document(user)
    with pytest.raises(MissingSwitch, match=named):
        UserPreferences.objects.document_text(user)
    with pytest.raises(MissingSwitch, match=named):
        UserPreferences.objects.documents([user])
