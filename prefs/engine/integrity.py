"""Whether what expand installed is still as it was made, and the records tell what is so.

Everything is compared with PostgreSQL's catalogs, now. The gates ask this, and so do
`status_prefs` and `check --database`, which show each problem with what repairs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction

from prefs.engine.states import (
    State,
    UnknownState,
    current_state,
    is_forward,
    recorded_state,
)
from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.models import Run
from prefs.routing import MissingSwitch
from prefs.sql import catalog, installed, planned
from prefs.sql.functions import FUNCTIONS
from prefs.sql.trigger_functions import functions
from prefs.sql.triggers import capture_triggers, guard_triggers

REINSTALL = (
    "`manage.py sqlmigrate prefs 0003 | manage.py dbshell`, and the same with 0005, then"
    " `manage.py verify_prefs`: what was written meanwhile may be in one store alone"
)


KEYS_BACK = (
    "`manage.py backfill_prefs`: a copy of many users goes without the foreign keys, and puts"
    " them back at its end"
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that was done behind the migration's back, and what repairs it."""

    what: str
    repair: str

    def __str__(self) -> str:
        return f"{self.what}. {self.repair}"


def wrong_tables(alias: str) -> list[str]:
    """What of the typed tables and of the functions on the way is not as expand made it."""
    wrong: list[str] = []
    for table in (USER_TABLE, NOTIFICATION_TABLE):
        expected = installed.expected_objects(table)
        actual = dict(_rows(alias, installed.actual_objects(), {"table": table}))
        wrong += [f"{table}: no {name}" for name in expected.keys() - actual.keys()]
        wrong += [
            f"{table}: {name} is {definition!r}"
            for name, definition in actual.items()
            if expected.get(name, "" if not name.startswith("index") else definition) != definition
        ]
    return sorted(wrong + _wrong_functions(alias, FUNCTIONS | planned.functions()))


def wrong_triggers(alias: str, *, has_column: bool) -> list[str]:
    """Which of our triggers are missing, disabled or altered; a blob that is gone has none."""
    expected = {
        (trigger.table.replace('"', ""), trigger.name): trigger.create.replace('"', "").replace(
            "CREATE OR REPLACE", "CREATE"
        )
        for trigger in (*guard_triggers(), *(capture_triggers() if has_column else ()))
    }
    tables = sorted({trigger.table for trigger in (*guard_triggers(), *capture_triggers())})
    found = {
        (table, name): definition if enabled else "disabled"
        for table, name, definition, enabled in _rows(
            alias, installed.installed_triggers(), {"tables": tables}
        )
    }
    wrong = [f"{table}: no trigger {name}" for table, name in expected.keys() - found.keys()]
    wrong += [
        f"{table}: trigger {name} is {definition!r}"
        for (table, name), definition in found.items()
        if definition != expected.get((table, name))
    ]
    return sorted(wrong + _wrong_functions(alias, functions()))


def _wrong_functions(alias: str, made: dict[str, str]) -> list[str]:
    found = {
        name: (body, traits)
        for name, body, traits in _rows(alias, installed.function_bodies(), {"names": list(made)})
    }
    return [
        f"function {name} is not ours"
        for name, create in made.items()
        if found.get(name) != _body_and_traits(create)
    ]


def _body_and_traits(create: str) -> tuple[str, list[str]]:
    head, body, _ = create.split("$function$")
    return body, [trait for trait in installed.FUNCTION_TRAITS if trait in head]


def problems(alias: str) -> list[Problem]:
    """Everything that is wrong with the installation, each with its repair. Locks nothing.

    Foreign keys that an open backfill has put aside are not: it will put them back.
    """
    found: list[Problem] = []
    try:
        state = current_state(alias)
    except (MissingSwitch, UnknownState) as error:
        found.append(Problem(what=str(error).rstrip("."), repair=""))
        has_column = _has_column(alias)
    else:
        found += _unrecorded(state, alias)
        has_column = state is not State.DROPPED
    wrong = [*wrong_tables(alias), *wrong_triggers(alias, has_column=has_column)]
    if _keys_are_due_back(alias):
        wrong = [what for what in wrong if remedy_for([what]) is not KEYS_BACK]
    found += [Problem(what=what, repair=f"Run {remedy_for([what])}.") for what in wrong]
    return found


def _keys_are_due_back(alias: str) -> bool:
    at_it = Run.objects.using(alias).filter(
        kind=Run.Kind.BACKFILL, phase__in=(Run.Phase.COPY, Run.Phase.KEYS)
    )
    return at_it.exclude(status__in=(Run.Status.DONE, Run.Status.ABANDONED)).exists()


def remedy_for(wrong: list[str]) -> str:
    """What to run where these are wrong: the backfill, if all that is missing are its keys."""
    keys = [installed.foreign_key_name(table) for table in (USER_TABLE, NOTIFICATION_TABLE)]
    of_keys = [what for what in wrong if any(key in what for key in keys)]
    return KEYS_BACK if wrong and of_keys == wrong else REINSTALL


def _unrecorded(state: State, alias: str) -> list[Problem]:
    """A state that the transitions on record did not lead to."""
    recorded = recorded_state(alias)
    if state is recorded:
        return []
    way = "advance_prefs" if is_forward(state, recorded) else "rollback_prefs"
    what = f"The state is {state}, but the last transition on record led to {recorded}"
    repair = (
        "A switch or the column was changed past the guards, so no earlier verification counts."
        f" Run `manage.py verify_prefs`, then `manage.py {way}` until the state is {recorded}."
    )
    return [Problem(what=what, repair=repair)]


def _has_column(alias: str) -> bool:
    return bool(_rows(alias, catalog.state(), {})[0][2])


def _rows(alias: str, statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute(installed.plain_printing())
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
