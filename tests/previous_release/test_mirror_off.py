"""The previous release once its column is no longer written, and once it is gone.

A gate keeps a site with such processes from getting there; whoever comes later is refused
where preferences would be lost, and served where not.
"""

from __future__ import annotations

from typing import Any

import pytest

from prefs.engine.states import State
from tests.previous_release.conftest import Releases
from tests.previous_release.documents import DOCUMENTS, USUAL, name, spelled
from tests.previous_release.processes import Refused, previous_release
from tests.previous_release.shop.catalogue import CHANGERS, CREATORS
from tests.support import scratch, stores
from tests.support.steps import go, state
from tests.support.stores import Place
from tests.support.tampering import turn

Both = Releases


@pytest.fixture
def mirror_off(both: Both) -> Both:
    """Both releases, where only the tables are written."""
    stores.enter(Place.TABLES)
    return both


@pytest.fixture
def dropped(both: Both) -> Both:
    """Both releases, where the column is gone."""
    stores.enter(Place.DROPPED)
    return both


def first_name(user: int) -> Any:
    return stores.query("SELECT first_name FROM accounts_user WHERE id = %s", [user])[0][0]


@pytest.mark.parametrize("writer", CHANGERS)
def test_a_change_of_the_blob_is_refused_with_a_sentence(mirror_off: Both, writer: str) -> None:
    user = mirror_off.current.ask("add", username=name(), document=USUAL)
    with pytest.raises(Refused) as refused:
        mirror_off.previous.ask("change", writer=writer, user=user, document={"theme": "light"})
    assert refused.value.name == "OperationalError"
    sentence = f"the column preferences of user {user} is no longer written: preferences are in"
    assert sentence in refused.value.message
    assert mirror_off.current.ask("read", user=user) == USUAL


def test_what_is_refused_is_refused_whole_and_the_next_write_goes_through(
    mirror_off: Both,
) -> None:
    user = mirror_off.current.ask("add", username=name(), document=USUAL)
    with pytest.raises(Refused, match="is no longer written"):
        mirror_off.previous.ask("rename_and_set", user=user, name="Ada", leaves={"theme": "light"})
    assert first_name(user) == ""
    mirror_off.previous.ask("rename", user=user, name="Ada")
    assert first_name(user) == "Ada"
    assert mirror_off.current.ask("read", user=user) == USUAL


@pytest.mark.parametrize("writer", CREATORS)
def test_a_user_whom_the_previous_release_makes_is_captured(mirror_off: Both, writer: str) -> None:
    for document in DOCUMENTS:
        user = mirror_off.previous.ask("add", writer=writer, username=name(), document=document)
        assert spelled(mirror_off.current.ask("read", user=user)) == spelled(document)


def test_one_started_again_before_the_blob_is_true_again_is_refused(mirror_off: Both) -> None:
    user = mirror_off.current.ask("add", username=name(), document=USUAL)
    mirror_off.current.ask("merge", user=user, patch={"theme": "light"})
    turn(State.READ_CUTOVER.route)
    for writer in CHANGERS:
        with pytest.raises(Refused, match="older than the tables"):
            mirror_off.previous.ask("set_leaves", writer=writer, user=user, leaves={"late": 1})
    assert mirror_off.current.ask("read", user=user) == {**USUAL, "theme": "light"}


def test_without_the_column_the_previous_release_fails_loudly_and_changes_nothing(
    dropped: Both,
) -> None:
    user = dropped.current.ask("add", username=name(), document=USUAL)
    username = name()
    for command, arguments in (
        ("read", {"user": user}),
        ("rename", {"user": user, "name": "Ada"}),
        ("change", {"writer": "update", "user": user, "document": {}}),
        ("add", {"writer": "create", "username": username, "document": {}}),
        ("add", {"writer": "copy", "username": username, "document": {}}),
    ):
        with pytest.raises(Refused, match=r"column .*preferences.* does not exist"):
            dropped.previous.ask(command, **arguments)
    assert dropped.current.ask("read", user=user) == USUAL
    assert stores.query("SELECT FROM accounts_user WHERE username = %s", [username]) == []


def test_a_site_with_such_a_process_does_not_get_there(site: str) -> None:
    go(State.READ_CUTOVER)
    environ = scratch.environment(site, cutover_soak=0)
    assert scratch.manage(environ, "verify_prefs").returncode == 0
    with previous_release(site) as previous:
        with pytest.raises(Refused, match="DoesNotExist"):
            previous.ask("read", user=0)
        outcome = scratch.manage(environ, "advance_prefs", "--to", "mirror_off")
        assert (outcome.returncode, state()) == (4, State.READ_CUTOVER)
        assert "no_previous_release: pid" in outcome.stdout + outcome.stderr
    outcome = scratch.manage(environ, "advance_prefs", "--to", "mirror_off")
    assert (outcome.returncode, state()) == (0, State.MIRROR_OFF)
