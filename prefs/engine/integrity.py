"""Whether what expand installed is still as it was made, and the records tell what is so.

Everything is compared with PostgreSQL's catalogs, now. The gates ask this, and so do
`status_prefs` and `check --database`, which show each problem with what repairs it.
"""

from __future__ import annotations

from collections.abc import Iterator

from prefs import conf
from prefs.conf import Settings
from prefs.engine import catalogs, sight, supported
from prefs.engine.flaws import Flaw, Part, Problem, flaw
from prefs.engine.look import FIRING, Look, look
from prefs.engine.rights import wrong_rights
from prefs.engine.states import (
    State,
    UnknownState,
    command,
    current_state,
    is_forward,
    recorded_state,
)
from prefs.models import Run
from prefs.routing import MissingSwitch
from prefs.sql import canary, installed, keys, registry
from prefs.sql.names import ARCHIVE_TABLE, MISMATCH_TABLE, quote
from prefs.sql.stored import StoredFunction
from prefs.sql.triggers import capture_triggers, guard_triggers


def wrong_tables(found: Look) -> list[Flaw]:
    """What of the typed tables and of the functions on the way is not as expand made it."""
    return sorted([*_tables(found), *_functions(found, registry.called())], key=str)


def wrong_triggers(found: Look) -> list[Flaw]:
    """Which of our triggers are missing, disabled or altered; a blob that is gone has none."""
    wrong = (*_triggers(found), *_silenced(found), *_functions(found, registry.fired()))
    return sorted(wrong, key=str)


def _tables(found: Look) -> Iterator[Flaw]:
    for table, actual in found.objects.items():
        expected = {
            name: _bare(definition, found)
            for name, definition in installed.expected_objects(table).items()
        }
        whats = [f"{table}: no {name}" for name in expected.keys() - actual.keys()]
        whats += [
            f"{table}: {name} is {definition!r}"
            for name, definition in actual.items()
            if expected.get(name, "" if not name.startswith("index") else definition) != definition
        ]
        key = installed.foreign_key_name(table)
        yield from (flaw(Part.KEY if key in what else Part.TABLE, what) for what in whats)
    for (table,) in catalogs.rows(found.alias, keys.missing((ARCHIVE_TABLE, MISMATCH_TABLE))):
        yield flaw(Part.KEY, f"{table}: no constraint {installed.foreign_key_name(table)}")


def _triggers(found: Look) -> Iterator[Flaw]:
    """A trigger of ours is made anew; one that is only named like ours goes."""
    ours = (*guard_triggers(), *(capture_triggers() if found.has_column else ()))
    expected = {(_bare(trigger.table, found), trigger.name): trigger for trigger in ours}
    there = {
        (table, name): definition if enabled else "disabled"
        for table, name, definition, enabled in found.triggers
    }
    for place, trigger in expected.items():
        made = _bare(trigger.create, found).replace("CREATE OR REPLACE", "CREATE")
        if place not in there:
            what = f"{trigger.table_name}: no trigger {trigger.name}"
            yield flaw(Part.TRIGGER, what, trigger.create)
        elif there[place] != made:
            yield flaw(Part.TRIGGER, _altered(*place, there[place]), trigger.create)
    for table, name in there.keys() - expected.keys():
        drop = f"DROP TRIGGER {quote(name)} ON {'.'.join(map(quote, table.split('.')))}"
        yield flaw(Part.STRANGER, _altered(table, name, there[table, name]), drop)


def _altered(table: str, name: str, definition: str) -> str:
    return f"{table.rsplit('.', maxsplit=1)[-1]}: trigger {name} is {definition!r}"


def wrong_samples(found: Look) -> list[Flaw]:
    """Which samples are gone; and a canary that is up where nobody could have raised it."""
    wrong = []
    for name, percent in catalogs.rows(found.alias, canary.wrong()):
        what, mend = f"the row of the waffle sample {name} is missing, which counts as 0", ""
        if percent is not None:
            what = f"the canary is at {percent} %, and the state is not {State.DUAL_WRITE}"
            mend = canary.end_canary()
        wrong.append(flaw(Part.SAMPLE, what, mend or canary.create(name)))
    return wrong


def _silenced(found: Look) -> Iterator[Flaw]:
    """Where sessions begin in which no trigger of ours fires."""
    for place, name, value in found.set_to(FIRING):
        if value.lower() == "replica":
            what = f"{name} is {value} ({place}), so no trigger of ours fires there"
            by_hand = "Remove that setting, and run `manage.py verify_prefs`"
            yield flaw(Part.TRIGGER, what, by_hand=by_hand)


def _functions(found: Look, made: tuple[StoredFunction, ...]) -> Iterator[Flaw]:
    for function in made:
        body, traits, anybodys = found.functions[found.placed(function.signature)]
        if (body, traits) != (f"\n{found.placed(function.body)}\n", function.traits):
            what = f"function {function.name} is not ours"
            yield flaw(Part.FUNCTION, what, *function.statements)
        elif function.kept and anybodys:
            what = f"function {function.name} may be called by everybody"
            yield flaw(Part.FUNCTION, what, *function.statements)
    names = {function.name for function in made}
    for name, signature in found.strangers:
        if name in names:
            what = f"function {signature} is of another type of key than users have"
            yield flaw(Part.STRANGER, what, f"DROP FUNCTION {signature}")


def _bare(text: str, found: Look) -> str:
    """A statement of ours as it is compared with what PostgreSQL prints: without quotes."""
    return found.placed(text).replace('"', "")


def problems(alias: str, seen: Look | None = None) -> list[Problem]:
    """Everything that is wrong with the installation, each with its repair. Locks nothing.

    `seen` is a look at it that was had already.
    """
    found: list[Problem] = []
    try:
        found += _unrecorded(current_state(alias), alias)
    except (MissingSwitch, UnknownState) as error:
        found.append(Problem(what=str(error).rstrip("."), repair=""))
    found += [Problem(what=what, repair=supported.REMEDY) for what in supported.unsupported(alias)]
    if hidden := sight.hidden_from(alias):
        found.append(Problem(what=sight.describe(hidden), repair=sight.REMEDY))
    wrong = flaws(seen or look(alias), conf.current())
    return found + [Problem(what=told(flaw), repair=f"{flaw.remedy}.") for flaw in wrong]


def flaws(found: Look, settings: Settings) -> list[Flaw]:
    """Every part of the installation that is not as it should be. Locks nothing.

    Foreign keys that an open backfill has put aside are not among them.
    """
    wrong = [*wrong_tables(found), *wrong_triggers(found)]
    at_it = Run.objects.using(found.alias).filter(
        kind=Run.Kind.BACKFILL, phase__in=(Run.Phase.COPY, Run.Phase.KEYS)
    )
    if at_it.exclude(status__in=(Run.Status.DONE, Run.Status.ABANDONED)).exists():
        wrong = [flaw for flaw in wrong if flaw.part is not Part.KEY]
    return wrong + wrong_samples(found) + wrong_rights(found, settings)


def told(flaw: Flaw) -> str:
    """A flaw; where it is of rights, with the statements that put it right."""
    if flaw.part is not Part.RIGHT or not flaw.statements:
        return str(flaw)
    return f"{flaw}: {'; '.join(flaw.statements)}"


def _unrecorded(state: State, alias: str) -> list[Problem]:
    """A state that the transitions on record did not lead to."""
    recorded = recorded_state(alias)
    if state is recorded:
        return []
    way = command(forward=is_forward(state, recorded))
    what = f"The state is {state}, but the last transition on record led to {recorded}"
    repair = (
        "A switch or the column was changed past the guards, so no earlier verification counts."
        f" Run `manage.py verify_prefs`, then `manage.py {way}` until the state is {recorded}."
    )
    return [Problem(what=what, repair=repair)]
