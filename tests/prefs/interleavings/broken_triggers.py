"""Broken protocols of the triggers: they alter the database, and put it right again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from prefs import managers
from prefs.routing import DUAL_WRITE, READ_TABLES, Route
from prefs.sql import writes as sql
from prefs.sql.documents import switch
from prefs.sql.trigger_functions import CAPTURE, functions
from prefs.sql.triggers import capture_triggers
from prefs.sql.writes import is_marked
from tests.prefs.interleavings.protocols import broken, changed, replaced
from tests.support import site_triggers
from tests.support.altered import alter_function, alter_trigger
from tests.support.stores import query

_ANY_MARK = "coalesce(current_setting('prefs.writing', true), '') <> ''"
_OF_THIS_TIME = "coalesce(starts_with(mark, concat(statement_timestamp(), ' ')), false)"


@contextmanager
def capture_altered(*patches: tuple[str, str]) -> Iterator[None]:
    """The capture function with parts of its text exchanged."""
    alter_function(CAPTURE, *patches)
    try:
        yield
    finally:
        query(functions()[CAPTURE].create)


def _put_triggers_back() -> None:
    for trigger in capture_triggers():
        query(trigger.create)


@broken(
    "way in expanded, mirror not copied: raw and forward",
    "way in expanded, mirror not copied: previous and forward",
)
def no_capture_beside_the_previous_release() -> Iterator[None]:
    """Nothing mirrors what is not written by our manager."""
    query("ALTER TABLE accounts_user DISABLE TRIGGER prefs_capture_update")
    try:
        yield
    finally:
        query("ALTER TABLE accounts_user ENABLE TRIGGER prefs_capture_update")


@broken("way in expanded, mirror not copied: renumber and forward")
def a_capture_that_compares_by_jsonb_equality() -> Iterator[None]:
    """To the trigger, 1 and 1.0 are the same."""
    exact = 'record_image_eq(ROW(old."id", old."preferences"), ROW(new."id", new."preferences"))'
    alter_trigger("prefs_capture_update", exact, "old.preferences = new.preferences")
    try:
        yield
    finally:
        _put_triggers_back()


@broken("evidence in expanded, mirror equal: hold and raw and careful")
def switches_read_by_a_stable_function() -> Iterator[None]:
    """The trigger learns the switches from STABLE code: by the snapshot of before a lock wait."""
    query(f"""CREATE FUNCTION read_switches() RETURNS trigger LANGUAGE plpgsql STABLE AS
      $$BEGIN PERFORM set_config('broken.dual_write', {switch(DUAL_WRITE)}::text, true),
      set_config('broken.read_tables', {switch(READ_TABLES)}::text, true); RETURN NULL; END$$""")
    # Triggers fire in the order of their names.
    query("""CREATE TRIGGER before_capture AFTER INSERT OR UPDATE ON accounts_user
      FOR EACH ROW EXECUTE FUNCTION read_switches()""")
    read = f"SELECT {switch(DUAL_WRITE)}, {switch(READ_TABLES)} INTO dual_write, read_tables;"
    remembered = """dual_write := current_setting('broken.dual_write')::boolean;
      read_tables := current_setting('broken.read_tables')::boolean;"""
    try:
        with capture_altered((read, remembered)):
            yield
    finally:
        query("DROP FUNCTION read_switches CASCADE")


@broken("pair in read_cutover, mirror equal: both_ways and raw")
def a_mark_that_is_not_bound_to_its_statement() -> Iterator[None]:
    """Once a transaction has written by our manager, all its writes of the blob pass for ours."""
    with capture_altered((is_marked(), _ANY_MARK)):
        yield


@broken(
    "pair in dual_write, mirror equal: insert and raw_of_all",
    "pair in read_cutover, mirror equal: insert and raw_of_all",
)
def a_mark_that_capture_leaves_standing() -> Iterator[None]:
    """What the trigger writes to the tables marks the statement that it fired for, by its time."""
    restored = "PERFORM set_config('prefs.writing', coalesce(mark, ''), true);"
    with capture_altered((restored, ""), (is_marked(), _OF_THIS_TIME)):
        yield


@broken(
    "pair in dual_write, mirror equal: stamped and merge",
    "pair in dual_write, mirror equal: stamped and raw",
)
def a_capture_of_the_value_it_was_called_with() -> Iterator[None]:
    """A trigger of the site's, before ours, changes the blob again; capture mirrors what it was."""
    with capture_altered(site_triggers.CALLED_WITH):
        yield


@broken("pair in read_cutover, mirror equal: merge and merge_other")
def a_mark_cleared_before_the_triggers_fire() -> Iterator[None]:
    """The writing statement clears its own mark; triggers fire at its end, and see none."""
    call, write = sql.write, sql.writing

    def clearing(route: Route, incoming: str) -> str:
        if not route.reads_tables:
            return call(route, incoming)
        text = write(route, incoming, there=True)
        last = "FROM sized s"
        written = " || ".join(
            f"(SELECT count(*) FROM {cte})::text" for cte in ("user_row", "notification_row")
        )
        clear = f"set_config('prefs.writing', left({written}, 0), true) = ''"
        return changed(text, last, f"{last} WHERE {clear}")

    with replaced("write", clearing, sql):
        yield


@broken(
    "pair in dual_write, mirror equal: merge and raw",
    "way in expanded, mirror behind: raw and forward",
)
def an_upsert_of_a_part_of_a_row() -> Iterator[None]:
    """The mirror is given what was set, and keeps what was removed."""
    columns = set(re.findall(r'("\w+") = excluded\.\1', functions()[CAPTURE].create))
    kept = [(f"{c} = excluded.{c}", f"{c} = coalesce(excluded.{c}, d.{c})") for c in columns]
    with capture_altered(*kept):
        yield


@broken(
    "way in mirror_off, mirror behind: raw and back",
    "way in mirror_off, mirror behind: previous and back",
)
def a_capture_of_a_blob_that_is_behind() -> Iterator[None]:
    """A writer who knows the column alone overwrites newer tables with what it read there."""
    with capture_altered(("behind := NOT record", "behind := false AND NOT record")):
        yield


@broken("way in expanded, mirror not copied: merge_in_one_snapshot and forward")
def repeatable_read_let_through() -> Iterator[None]:
    """A transaction writes by the switches of its snapshot, long after a flip has drained."""

    def route(dual_write: bool | None, read_tables: bool | None, isolation: str) -> Route:
        return Route.of(dual_write, read_tables)

    anything = ("current_setting('transaction_isolation') <> 'read committed'", "false")
    with replaced("_route", route, managers), capture_altered(anything):
        yield
