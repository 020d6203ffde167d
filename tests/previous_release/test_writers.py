"""What a process of one release writes, one of the other reads at once, in every state of both.

From expanded to read_cutover both releases run. The previous one is the real thing: a process
that has the field in its user model and imports nothing of this project.
"""

from __future__ import annotations

from typing import Any

import pytest

from prefs.engine.states import State
from tests.previous_release.conftest import Releases
from tests.previous_release.documents import DOCUMENTS, USUAL, name, spelled
from tests.previous_release.processes import Refused
from tests.previous_release.shop.catalogue import CHANGERS, CREATORS
from tests.support import stores


def assert_both_read(both: Releases, state: State, user: int, document: Any) -> None:
    for worker in (both.previous, both.current):
        assert spelled(worker.ask("read", user=user)) == spelled(document)
    assert not (state.route.mirrored and stores.differ(user))


def test_the_previous_release_is_not_this_one(both: Releases) -> None:
    imported = both.previous.ask("modules")
    assert "django" in imported
    assert not {"prefs", "project", "waffle"} & set(imported)


@pytest.mark.parametrize("writer", CREATORS)
def test_a_user_whom_the_previous_release_makes(both: Releases, state: State, writer: str) -> None:
    for document in DOCUMENTS:
        user = both.previous.ask("add", writer=writer, username=name(), document=document)
        assert_both_read(both, state, user, document)


@pytest.mark.parametrize("writer", CHANGERS)
def test_a_document_that_the_previous_release_changes(
    both: Releases, state: State, writer: str
) -> None:
    user = both.current.ask("add", username=name(), document={"theme": "light"})
    for document in DOCUMENTS:
        both.previous.ask("change", writer=writer, user=user, document=document)
        assert_both_read(both, state, user, document)


def test_a_document_that_this_release_merges(both: Releases, state: State) -> None:
    user = both.previous.ask("add", writer="create", username=name(), document=USUAL)
    both.current.ask("merge", user=user, patch={"theme": "light", "notifications": None})
    merged = {"theme": "light", "items_per_page": 10, "beta": USUAL["beta"]}
    assert_both_read(both, state, user, merged)


@pytest.mark.parametrize("command", ["replace", "assign", "update"])
def test_a_document_that_this_release_replaces(both: Releases, state: State, command: str) -> None:
    user = both.previous.ask("add", writer="create", username=name(), document=USUAL)
    for number in (1, 1.0):
        document = {"notifications": {"sms": {"security": True}}, "n": number}
        both.current.ask(command, user=user, document=document)
        assert_both_read(both, state, user, document)


def test_a_user_whom_this_release_makes(both: Releases, state: State) -> None:
    user = both.current.ask("add", username=name(), document=USUAL)
    assert_both_read(both, state, user, USUAL)


@pytest.mark.parametrize("release", ["previous", "current"])
def test_a_save_that_is_not_about_preferences(both: Releases, state: State, release: str) -> None:
    user = both.current.ask("add", username=name(), document=USUAL)
    getattr(both, release).ask("rename", user=user, name="Ada")
    assert_both_read(both, state, user, USUAL)


@pytest.mark.parametrize("release", ["previous", "current"])
def test_a_user_whom_one_release_deletes_is_gone_from_both_stores(
    both: Releases, state: State, release: str
) -> None:
    user = both.current.ask("add", username=name(), document=USUAL)
    getattr(both, release).ask("delete", user=user)
    for worker in (both.previous, both.current):
        with pytest.raises(Refused, match="DoesNotExist"):
            worker.ask("read", user=user)
    assert stores.query("SELECT FROM user_preferences WHERE user_id = %s", [user]) == []


def test_the_two_releases_change_one_user_in_turn(both: Releases, state: State) -> None:
    user = both.previous.ask("add", writer="create", username=name(), document={})
    expected: dict[str, Any] = {}
    for number, writer in enumerate(CHANGERS):
        theirs, ours = {f"theirs {number}": number}, {f"ours {number}": number}
        both.previous.ask("set_leaves", writer=writer, user=user, leaves=theirs)
        both.current.ask("merge", user=user, patch=ours)
        expected |= theirs | ours
        assert_both_read(both, state, user, expected)
