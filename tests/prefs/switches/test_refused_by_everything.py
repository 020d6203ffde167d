"""What would turn, rename, lose or double a switch without a flip is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from waffle import get_waffle_switch_model

from prefs.engine.states import State
from prefs.engine.switches import SwitchRefused
from prefs.models import Transition
from prefs.routing import DUAL_WRITE, READ_TABLES, SWITCHES
from tests.prefs.switches.turning import nothing_changes, switch
from tests.support import scratch
from tests.support.running import run
from tests.support.steps import add_users, go, rows, state
from tests.support.tampering import remove_switches

Switch = get_waffle_switch_model()


def bulk_update() -> None:
    found = switch(DUAL_WRITE)
    found.active = True
    Switch.objects.bulk_update([found], ["active"])


def upsert() -> None:
    made = Switch(name=DUAL_WRITE, active=True)
    Switch.objects.bulk_create(
        [made], update_conflicts=True, unique_fields=["name"], update_fields=["active"]
    )


BY_THE_DATABASE: dict[str, Callable[[], object]] = {
    "QuerySet.update": lambda: Switch.objects.filter(name=DUAL_WRITE).update(active=True),
    "bulk_update": bulk_update,
    "an upsert": upsert,
    "UPDATE": lambda: rows("UPDATE waffle_switch SET active = true"),
    "a rename": lambda: rows("UPDATE waffle_switch SET name = 'x' WHERE name = %s", DUAL_WRITE),
    "DELETE": lambda: rows("DELETE FROM waffle_switch WHERE name = %s", READ_TABLES),
    "_raw_delete": lambda: Switch.objects.all()._raw_delete("default"),
    "TRUNCATE": lambda: rows("TRUNCATE waffle_switch"),
    "TRUNCATE CASCADE": lambda: rows("TRUNCATE waffle_switch CASCADE"),
    "a token of another transaction": lambda: rows(
        "SELECT set_config('prefs.turning', (pg_current_xact_id()::text::bigint - 1)::text, false);"
        "UPDATE waffle_switch SET active = true"
    ),
    "COPY": lambda: rows(
        "COPY waffle_switch (name, active, note, created, modified) FROM PROGRAM"
        f" 'printf \"{DUAL_WRITE}\\tt\\t\\tnow\\tnow\\n\"'"
    ),
}


@pytest.mark.parametrize("what", BY_THE_DATABASE)
def test_the_database_refuses(site: str, what: str) -> None:
    with (
        nothing_changes(),
        pytest.raises(DatabaseError, match="switches of the preferences migration is refused"),
        transaction.atomic(),
    ):
        BY_THE_DATABASE[what]()


def test_a_superuser_is_refused_as_well(site: str) -> None:
    assert rows("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(True,)]
    with nothing_changes(), pytest.raises(DatabaseError, match="refused"):
        rows("UPDATE waffle_switch SET active = true")


def rename() -> None:
    found = switch(DUAL_WRITE)
    found.name = "something_else"
    found.save()


def take_the_name() -> None:
    other = Switch.objects.create(name="other")
    other.name, other.active = DUAL_WRITE, True
    try:
        other.save()
    finally:
        Switch.objects.filter(name="other").delete()


BY_THE_RECEIVER: dict[str, tuple[Callable[[], object], str]] = {
    "a rename": (rename, "prefs_dual_write cannot become something_else"),
    "another switch taking the name": (take_the_name, "other cannot become prefs_dual_write"),
    "Switch.delete": (lambda: switch(READ_TABLES).delete(), "cannot be deleted while"),
    "QuerySet.delete": (lambda: Switch.objects.all().delete(), "cannot be deleted while"),
}


@pytest.mark.parametrize("what", BY_THE_RECEIVER)
def test_the_receiver_refuses_with_a_sentence(site: str, what: str) -> None:
    work, why = BY_THE_RECEIVER[what]
    with nothing_changes(), pytest.raises(SwitchRefused, match=why) as refused:
        work()
    assert refused.value.returncode == 4


@pytest.mark.parametrize("active", [False, True])
def test_a_second_row_of_the_name_is_the_database_s_own_error(site: str, active: bool) -> None:
    with nothing_changes(), pytest.raises((IntegrityError, DatabaseError)):
        Switch.objects.create(name=DUAL_WRITE, active=active)
    assert Switch.objects.get_or_create(name=DUAL_WRITE) == (switch(DUAL_WRITE), False)


@pytest.mark.parametrize("here", [State.EXPANDED, State.READ_CUTOVER, State.DROPPED])
@pytest.mark.parametrize("name", SWITCHES)
def test_a_lost_row_comes_back_with_the_value_it_had(site: str, here: State, name: str) -> None:
    go(here)
    was = switch(name).active
    remove_switches(name)
    if not was:
        with pytest.raises(SwitchRefused, match="was off when its row was lost, so it comes back"):
            Switch.objects.create(name=name, active=True)
    made, created = Switch.objects.get_or_create(name=name)
    assert (created, made.active, switch(name).active, state()) == (True, was, was, here)


def test_the_other_switch_cannot_be_turned_while_one_is_lost(site: str) -> None:
    remove_switches(READ_TABLES)
    outcome = run("waffle_switch", DUAL_WRITE, "on")
    assert outcome.status == 4
    assert "Run `manage.py status_prefs`: it prints the command that puts the row" in outcome.err
    assert (switch(DUAL_WRITE).active, Transition.objects.count()) == (False, 0)


def fixture(path: Path, **active: bool) -> str:
    now = timezone.now().isoformat()
    objects = [
        {
            "model": "waffle.switch",
            "pk": switch(name).pk,
            "fields": {
                "name": name,
                "active": value,
                "note": "",
                "created": now,
                "modified": now,
            },
        }
        for name, value in active.items()
    ]
    file = path / "switches.json"
    file.write_text(json.dumps(objects))
    return str(file)


@pytest.mark.parametrize(
    "active",
    [{"prefs_dual_write": True}, {"prefs_read_tables": True}, dict.fromkeys(SWITCHES, True)],
    ids=str,
)
def test_a_fixture_turns_no_switch(site: str, tmp_path: Path, active: dict[str, bool]) -> None:
    """Case C9: a switch says how the database that was dumped stores preferences, not this one."""
    file = fixture(tmp_path, **active)
    with nothing_changes():
        for _ in range(2):
            call_command("loaddata", file, verbosity=0)


def test_a_fixture_takes_no_state_back(site: str, tmp_path: Path) -> None:
    """Case C9: of a site that has not come as far as this one."""
    add_users({"theme": "dark"})
    go(State.DUAL_WRITE)
    call_command("loaddata", fixture(tmp_path, prefs_dual_write=False), verbosity=0)
    assert (state(), Transition.objects.count()) == (State.DUAL_WRITE, 1)


def test_other_switches_are_nobody_s_business(site: str) -> None:
    made = Switch.objects.create(name="other", active=True)
    made.active = False
    made.save()
    Switch.objects.filter(name="other").update(active=True, name="renamed")
    rows("DELETE FROM waffle_switch WHERE name = 'renamed'")
    assert Switch.objects.count() == 2
    note = switch(DUAL_WRITE)
    note.note = "ours"
    note.save()
    assert (switch(DUAL_WRITE).note, Transition.objects.count()) == ("ours", 0)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("waffle_delete", "--switches", "prefs_dual_write"), "cannot be deleted"),
        (
            ("waffle_switch", "prefs_read_tables", "on"),
            "the next step is dual_write: turn",
        ),
    ],
)
def test_waffles_own_commands_end_with_status_4(
    site: str, command: tuple[str, ...], sentence: str
) -> None:
    before = rows("SELECT name, active FROM waffle_switch ORDER BY name")
    done = scratch.manage(scratch.environment(site), *command)
    assert (done.returncode, sentence in done.stderr) == (4, True), done.stderr
    assert rows("SELECT name, active FROM waffle_switch ORDER BY name") == before
