"""Text that PostgreSQL has no characters for is an invalid document, wherever it comes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from prefs.codec import InvalidDocument
from prefs.engine import corrections, quarantine
from prefs.models import NotificationPreferences, UserPreferences
from project.accounts.models import User
from tests.support import stores
from tests.support.running import run
from tests.support.stores import Place, insert_user

pytestmark = pytest.mark.django_db

TEXTS: dict[str, Any] = {
    "half a pair in a value": '["\udcff"]',
    "half a pair in a key": '{"\ud800": [1]}',
    "half a pair, escaped": '["\\udcff"]',
    "NUL": '["a\x00b"]',
    "NUL, escaped": '{"a\\u0000b": [1]}',
    "no text": None,
    "bytes": b'["x"]',
    "no JSON": "[",
    "no change": "5",
}
WRITES: dict[str, Callable[[int, str], Any]] = {
    "replace": lambda user, bad: UserPreferences.objects.replace(user, {"x": bad}),
    "replace, a key": lambda user, bad: UserPreferences.objects.replace(user, {bad: 1}),
    "merge": lambda user, bad: UserPreferences.objects.merge(user, {"x": {bad: 1}}),
    "replace_text": lambda user, bad: UserPreferences.objects.replace_text(user, f'"{bad}"'),
    "merge_text": lambda user, bad: UserPreferences.objects.merge_text(user, f'{{"x": "{bad}"}}'),
    "change": lambda user, bad: UserPreferences.objects.change({user: {"x": [bad]}}),
    "save of a row": lambda user, bad: UserPreferences(user_id=user, theme=bad).save(),
    "update of rows": lambda user, bad: UserPreferences.objects.filter(pk=user).update(theme=bad),
    "bulk_create of rows": lambda user, bad: NotificationPreferences.objects.bulk_create(
        [NotificationPreferences(user_id=user, email_digest=bad)]
    ),
    "save of a user": lambda user, bad: _assigned(user, {"x": bad}).save(),
    "save of a user, a key": lambda user, bad: _assigned(user, {bad: 1}).save(),
    "update of users": lambda user, bad: _people().filter(pk=user).update(preferences=bad),
    "bulk_update of users": lambda user, bad: _people().bulk_update(
        [_assigned(user, [bad])], ["preferences"]
    ),
}


def _people() -> Any:
    return User.objects


def _assigned(user: int, document: Any) -> User:
    found: User = User.objects.get(pk=user)
    found.preferences = document
    return found


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_change_that_is_no_json_text_is_an_invalid_document(place: Place, text: Any) -> None:
    """Case A21: `change_texts({pk: '["\\udcff"]'})`, alone and beside one that is good."""
    user, other = stores.insert_users(place, ['{"theme": "dark"}'] * 2)
    for changes in ({user: text}, {other: '{"x": [1]}', user: text}):
        with transaction.atomic(), pytest.raises(InvalidDocument):
            UserPreferences.objects.change_texts(changes)
    assert UserPreferences.objects.documents([user, other]) == {
        user: {"theme": "dark"},
        other: {"theme": "dark"},
    }


@pytest.mark.parametrize("bad", ["x\udcff", "a\x00b"], ids=ascii)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_no_way_in_takes_a_text_that_jsonb_cannot_store(
    place: Place, write: Callable[[int, str], Any], bad: str
) -> None:
    """Case A21: every entry point, in values and in keys."""
    user = insert_user(place, '{"theme": "dark"}')
    stores.fill_tables([user], ['{"theme": "dark"}'])
    with transaction.atomic(), pytest.raises(InvalidDocument):
        write(user, bad)
    assert UserPreferences.objects.document(user) == {"theme": "dark"}


def test_a_correction_is_no_text_that_jsonb_cannot_store() -> None:
    """Case A21: what an operator types in another encoding comes as halves of pairs."""
    for text in ('"\udcff"', '"\x00"'):
        with pytest.raises(quarantine.NotJson, match="cannot store"):
            corrections.must_fit("default", "theme", text)
        with pytest.raises(quarantine.NotJson, match="cannot store"):
            quarantine.counts("default", quarantine.Selection(value=text))


@pytest.mark.parametrize(
    "arguments",
    [
        ("quarantine_prefs", "--value", '"\udcff"'),
        ("quarantine_prefs", "--leaf", "theme", "--user", "1", "--correct", "--set", '"\udcff"'),
        ("advance_prefs", "--reason", "caf\udce9", "--noinput"),
    ],
    ids=str,
)
def test_an_argument_in_another_encoding_is_refused_with_a_sentence(
    arguments: tuple[str, ...],
) -> None:
    """Case A21: no traceback, whatever the shell passes on."""
    outcome = run(*arguments)
    assert outcome.status == 2
    assert "is not text in UTF-8" in outcome.err
    assert "\\udc" in outcome.err
