"""An error of ours in a caller's transaction leaves that transaction usable."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, transaction

from prefs.codec import InvalidDocument
from prefs.models import UserPreferences
from prefs.routing import DUAL_WRITE, READ_TABLES, SWITCHES, MissingSwitch
from tests.prefs.callers.writing import every_write, raw
from tests.support import stores
from tests.support.stores import NOBODY, Place
from tests.support.tampering import remove_switches, turn

BEFORE = {"theme": "light"}
preferences = UserPreferences.objects
Call = Callable[[int], object]

INVALID: dict[str, Call] = {
    "a value out of its domain": lambda u: preferences.merge(u, {"theme": "mauve"}),
    "a document with one": lambda u: preferences.replace(u, {"language": "?"}),
    "text that jsonb cannot hold": lambda u: preferences.merge(u, {"x": "\0"}),
    "such text in a document": lambda u: preferences.replace(u, {"x": "\ud800"}),
    "such text in a change": lambda u: preferences.change({u: {"x": ["\0"]}}),
    "what only PostgreSQL refuses": lambda u: preferences.change_texts({u: r'{"x": ["\u0000"]}'}),
    "what it finds too deep": lambda u: preferences.change_texts({u: _deep(50_000)}),
    "a number that jsonb cannot hold": lambda u: preferences.merge(u, {"x": float("nan")}),
    "a patch that is too deep": lambda u: preferences.merge(u, json.loads(_deep(101))),
    "a document that is too long": lambda u: preferences.replace(u, {"x": "y" * 2_000_000}),
}
UNKNOWN: dict[str, Call] = {
    "merge": lambda _: preferences.merge(NOBODY, {}),
    "replace": lambda _: preferences.replace(NOBODY, {}),
    "document": lambda _: preferences.document(NOBODY),
    "a key that no user can have": lambda _: preferences.merge(2**70, {}),
}


def _deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def survives(place: Place, error: type[Exception], call: Call) -> None:
    """Writes before and after the call are kept; the call raises and writes nothing."""
    user = stores.insert_user(place, json.dumps(BEFORE))
    with transaction.atomic():
        preferences.merge(user, {"before": 1})
        with pytest.raises(error):
            call(user)
        assert preferences.document(user) == {**BEFORE, "before": 1}
        preferences.merge(user, {"after": 1})
    assert preferences.document(user) == {**BEFORE, "before": 1, "after": 1}


def test_a_document_that_is_invalid(place: Place) -> None:
    for call in INVALID.values():
        survives(place, InvalidDocument, call)


def test_a_user_that_is_unknown(place: Place) -> None:
    for call in UNKNOWN.values():
        survives(place, get_user_model().DoesNotExist, call)


@every_write
def test_a_switch_that_is_missing(place: Place, write: Any) -> None:
    for names in ([DUAL_WRITE], [READ_TABLES], list(SWITCHES)):
        survives(place, MissingSwitch, partial(without, names, place, write))


def without(names: list[str], place: Place, write: Any, user: int) -> None:
    """Read and write where the rows of these switches are gone."""
    remove_switches(*names)
    try:
        with pytest.raises(MissingSwitch, match=names[0]):
            preferences.document(user)
        write(user, {"inside": 1})
    finally:
        turn(place.route)


@pytest.mark.parametrize(
    ("savepoint", "usable"),
    [(transaction.atomic, True), (nullcontext, False)],
    ids=["in", "not in"],
)
def test_raw_sql_that_is_refused_needs_a_savepoint_as_every_database_error_does(
    site: str, savepoint: Callable[[], AbstractContextManager[object]], usable: bool
) -> None:
    """The refusal comes from a trigger: an error of PostgreSQL, not of ours."""
    stores.enter(Place.TABLES)
    user = stores.insert_user(Place.TABLES, json.dumps(BEFORE))

    def caller() -> None:
        with transaction.atomic():
            with pytest.raises(OperationalError, match="no longer written"), savepoint():
                raw(user, '{"x": 1}')
            preferences.merge(user, {"after": 1})

    if usable:
        caller()
    else:
        with pytest.raises(Exception, match="current transaction is aborted"):
            caller()
    assert preferences.document(user) == {**BEFORE, **({"after": 1} if usable else {})}
