"""The two switches: turned by the protocol alone; every other switch is free."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.utils import timezone
from waffle import get_waffle_switch_model

from prefs.engine.flips import turn as flip_to
from prefs.engine.states import State
from prefs.models import Transition
from prefs.routing import DUAL_WRITE, READ_TABLES, SWITCHES, Route
from prefs.sql.trigger_functions import TURNING
from tests.prefs.triggers.raw import refused
from tests.support.steps import go, rows, state
from tests.support.tampering import allowed_to_turn, remove_switches, turn

SAID = "of the switches of the preferences migration is refused"
INSERT = (
    "INSERT INTO waffle_switch (name, active, note, created, modified)"
    " VALUES ('{}', {}, '', now(), now())"
)
REFUSED = {
    "turned on": f"UPDATE waffle_switch SET active = true WHERE name = '{DUAL_WRITE}'",
    "all turned on": "UPDATE waffle_switch SET active = true",
    "renamed": f"UPDATE waffle_switch SET name = 'other' WHERE name = '{READ_TABLES}'",
    "another renamed to it": f"UPDATE waffle_switch SET name = '{DUAL_WRITE}' WHERE name = 'beta'",
    "deleted": f"DELETE FROM waffle_switch WHERE name = '{READ_TABLES}'",
    "all deleted": "DELETE FROM waffle_switch",
    "truncated": "TRUNCATE waffle_switch",
    "upserted": f"{INSERT.format(DUAL_WRITE, 'true')}"
    " ON CONFLICT (name) DO UPDATE SET active = excluded.active",
}


def switches() -> list[tuple[object, ...]]:
    return rows("SELECT id, name, active, note, xmin::text FROM waffle_switch ORDER BY id")


@pytest.mark.parametrize("how", REFUSED)
def test_they_are_not_to_be(site: str, how: str) -> None:
    rows(INSERT.format("beta", "false"))
    before = switches()
    with refused(SAID, "advance_prefs or rollback_prefs"):
        rows(REFUSED[how])
    assert switches() == before


def test_not_by_the_orm_s_bulk_update_either(site: str) -> None:
    with refused(f"UPDATE {SAID}"):
        get_waffle_switch_model().objects.update(active=True)
    assert state() is State.EXPANDED


def test_notes_and_all_other_switches_are_free(site: str) -> None:
    rows("UPDATE waffle_switch SET note = 'watched', modified = now(), active = active")
    rows(INSERT.format("beta", "true"))
    rows("UPDATE waffle_switch SET active = false, name = 'gamma' WHERE name = 'beta'")
    rows("DELETE FROM waffle_switch WHERE name = 'gamma'")
    assert rows("SELECT name, note FROM waffle_switch ORDER BY name") == [
        (name, "watched") for name in sorted(SWITCHES)
    ]


def of_record(name: str, reached: State | None) -> bool:
    """The value that the last transition on record gave a switch."""
    route = reached.route if reached else Route.BLOB
    return dict(zip(SWITCHES, route.value, strict=True))[name]


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("reached", [None, *State], ids=str)
def test_a_missing_row_comes_back_with_the_value_on_record_alone(
    site: str, reached: State | None, name: str
) -> None:
    # What the flips of before led to counts for nothing.
    for to_state in (State.READ_CUTOVER, State.EXPANDED, *([reached] if reached else [])):
        Transition.objects.create(
            from_state="", to_state=to_state, actor="tester", taken_at=timezone.now()
        )
    remove_switches(name)
    value = of_record(name, reached)
    with refused(f"INSERT {SAID}"):
        rows(INSERT.format(name, not value))
    rows(INSERT.format(name, value))
    assert rows("SELECT active FROM waffle_switch WHERE name = %s", name) == [(value,)]


def test_after_a_whole_way_they_are_still_guarded(site: str) -> None:
    go(State.DROPPED)
    go(State.EXPANDED)
    with refused(SAID):
        rows(REFUSED["turned on"])


def test_a_flip_may_turn_them_and_nobody_after_it(site: str) -> None:
    with transaction.atomic():
        flip_to("default", State.DUAL_WRITE)
    assert state() is State.DUAL_WRITE
    with refused(SAID):
        rows("UPDATE waffle_switch SET active = false")


def test_a_permission_left_over_from_an_earlier_transaction_does_not_count(site: str) -> None:
    with transaction.atomic():
        [(number,)] = rows("SELECT pg_current_xact_id()::text")
        rows(f"SELECT set_config('{TURNING}', pg_current_xact_id()::text, false)")
        rows("UPDATE waffle_switch SET active = true WHERE name = 'prefs_dual_write'")
    assert rows(f"SHOW {TURNING}") == [(number,)]
    with refused(SAID):
        rows("UPDATE waffle_switch SET active = false")
    rows(f"SET {TURNING} = 'on'")
    with refused(SAID):
        rows("UPDATE waffle_switch SET active = false")


def test_a_permission_that_was_rolled_back_does_not_count(site: str) -> None:
    with refused(SAID):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT set_config('{TURNING}', pg_current_xact_id()::text, true)")
            transaction.set_rollback(True)
        rows(REFUSED["turned on"])


def test_the_tests_own_permission_ends_with_its_block(site: str) -> None:
    with transaction.atomic():
        turn(Route.BLOB_MIRRORED)
        with refused(SAID):
            rows("UPDATE waffle_switch SET active = false")
    with refused(SAID), allowed_to_turn():
        with allowed_to_turn():
            pass
        rows("UPDATE waffle_switch SET active = false")
