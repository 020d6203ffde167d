"""What keeps a rolling deploy from losing writes, taken away on purpose: its clients notice.

Each situation is gone through as it should be, and then broken. The gate `triggers_intact`
would refuse the altered triggers; here it is overridden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from prefs.engine import flips
from prefs.engine.states import State
from prefs.sql.trigger_functions import CAPTURE, functions
from prefs.sql.triggers import capture_triggers
from prefs.sql.writes import is_marked
from tests.previous_release.conftest import Releases
from tests.previous_release.processes import Refused
from tests.previous_release.situations import (
    first_lost,
    lost_after_waiting_through_the_cutover,
    lost_in_an_open_transaction,
    merged_while_a_switch_is_turned,
)
from tests.support.altered import alter_function, alter_trigger
from tests.support.stores import query
from tests.support.tampering import turn

CHANGED = 'NOT record_image_eq(ROW(old."id", old."preferences"), ROW(new."id", new."preferences"))'
SWITCHES = "SELECT bool_or(active) FROM waffle_switch WHERE starts_with(name, $$prefs_$$)"


@pytest.fixture(autouse=True)
def mended(both: Releases) -> Iterator[None]:
    """The triggers as they were, after whatever a test did to them."""
    yield
    for made in (functions()[CAPTURE].create, *(trigger.create for trigger in capture_triggers())):
        query(made)


def without_capture_of_changes() -> None:
    query("DROP TRIGGER prefs_capture_update ON accounts_user")


def without_capture_of_new_users() -> None:
    query("DROP TRIGGER prefs_capture_insert ON accounts_user")


def comparing_by_jsonb_equality() -> None:
    equal = "old.preferences IS DISTINCT FROM new.preferences"
    alter_trigger("prefs_capture_update", CHANGED, equal)


def test_clients_miss_nothing(both: Releases) -> None:
    turn(State.READ_CUTOVER.route)
    assert first_lost(both) == []


@pytest.mark.parametrize(
    "take_away",
    [without_capture_of_changes, without_capture_of_new_users, comparing_by_jsonb_equality],
    ids=lambda function: function.__name__,
)
def test_clients_miss_what_is_not_captured(both: Releases, take_away: Callable[[], None]) -> None:
    turn(State.READ_CUTOVER.route)
    take_away()
    assert first_lost(both)


def test_a_write_that_waits_through_all_flips_is_captured(both: Releases) -> None:
    assert lost_after_waiting_through_the_cutover(both) == []


def test_switches_read_by_a_stable_function_are_those_of_before_the_wait(both: Releases) -> None:
    """As one might, to spare calling the trigger's function while nothing is mirrored."""
    query(f"CREATE FUNCTION mirrored() RETURNS boolean STABLE LANGUAGE sql AS '{SWITCHES}'")
    alter_trigger("prefs_capture_update", CHANGED, f"{CHANGED} AND mirrored()")
    assert lost_after_waiting_through_the_cutover(both)


def test_a_flip_waits_for_a_transaction_of_the_previous_release(both: Releases) -> None:
    assert lost_in_an_open_transaction(both, drained=True) == []


def test_a_drain_that_did_not_wait_for_it_would_lose_its_write(
    both: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flips, "drain", lambda *_: True)
    assert lost_in_an_open_transaction(both, drained=False)


def test_were_the_mark_not_heeded_after_a_flip_this_release_would_be_refused(
    both: Releases,
) -> None:
    marked = f"tg_op = 'UPDATE' AND {is_marked()}"
    alter_function(CAPTURE, (marked, f"{marked} AND dual_write"))
    with pytest.raises(Refused, match="is no longer written"):
        merged_while_a_switch_is_turned(both, State.READ_CUTOVER, State.MIRROR_OFF)
