"""The two samples: who reads the tables already while the blob is the primary, and their guard."""

from __future__ import annotations

from functools import cache

from prefs.routing import CANARY, DUAL_WRITE, READ_TABLES, SAMPLES
from prefs.sql.names import literal, names

# A power of two: so many values that chance has.
_CHANCES = 2**20
NOTE = "Part of the preferences migration: turned by canary_prefs."


def bucket(key: str) -> str:
    """The bucket of a user, from 0 to 999: it depends on the key alone.

    By SHA-256, which PostgreSQL promises to stay the same, unlike its hash functions.
    """
    digest = f"encode(substr(sha256(convert_to({key}::text, 'UTF8')), 1, 4), 'hex')"
    return f"mod(('x' || {digest})::bit(32)::bigint, 1000)"


def settings() -> str:
    """An item of FROM with both percentages: (canary, shadow), NULL for a row that is missing."""
    canary, shadow = (f"max(s.percent) FILTER (WHERE s.name = {literal(name)})" for name in SAMPLES)
    return f"""(SELECT {canary} AS canary, {shadow} AS shadow FROM {names().samples} s
      WHERE s.name IN ({_ours()}))"""


def sample(name: str) -> str:
    """One percentage as a scalar subquery, asked for only where its value is; NULL for no row."""
    return f"(SELECT s.percent FROM {names().samples} s WHERE s.name = {literal(name)})"


def is_chosen(key: str, canary: str) -> str:
    """Whether a user is of the canary, by its percentage."""
    return f"{bucket(key)} < 10 * {canary}"


def is_sampled(key: str, shadow: str) -> str:
    """At random, whether a read of a user is a shadow read, by their percentage.

    In one statement a user is sampled everywhere or nowhere: a text that is marked in one row and
    not in another would be two to DISTINCT and UNION.
    """
    moment = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"
    chance = f"""hashtextextended({key}::text COLLATE "C", {moment}) & {_CHANCES - 1}"""
    return f"({chance}) < {shadow} * {_CHANCES / 100}"


def marked_to_compare(text: str, is_compared: str) -> str:
    """`text`, with a space before it where it is to be compared.

    No text of a document begins with one. So whoever reads knows it without a statement more, also
    where the answer is a single value. A text that cannot be built ('') is not compared; SQL NULL
    becomes a space alone.
    """
    return f"""(SELECT CASE WHEN {is_compared} AND b.body IS DISTINCT FROM ''
      THEN concat(' ', b.body) ELSE b.body END FROM (SELECT {text} AS body OFFSET 0) b)"""


def _ours() -> str:
    return ", ".join(map(literal, SAMPLES))


# --- what turns them -----------------------------------------------------------------


@cache
def percentages() -> str:
    """Those samples that are there: (name, percent)."""
    return f"SELECT s.name, s.percent FROM {names().samples} s WHERE s.name IN ({_ours()})"


@cache
def wrong() -> str:
    """Samples whose row is missing: (name, NULL); and a canary that nobody could have raised."""
    ours = ", ".join(f"({literal(name)})" for name in SAMPLES)
    return f"""SELECT t.name, s.percent FROM (VALUES {ours}) t(name)
    LEFT JOIN {names().samples} s ON s.name = t.name
    WHERE s.percent IS NULL OR t.name = {literal(CANARY)} AND s.percent > 0 AND NOT {_mirrored()}"""


def _mirrored() -> str:
    """Whether both stores are written, and the blob is read."""
    switch = f"SELECT FROM {names().switches} w WHERE w.name ="
    return f"""(EXISTS ({switch} {literal(DUAL_WRITE)} AND w.active)
      AND EXISTS ({switch} {literal(READ_TABLES)} AND NOT w.active))"""


@cache
def lock() -> str:
    """Lock the sample `name`: its percentage, or no row.

    Whoever lowers the canary because of a mismatch locks it as well. So whoever raises it after
    this has seen every mismatch that was told before, or is lowered by the next.
    """
    return f"SELECT s.percent FROM {names().samples} s WHERE s.name = %(name)s FOR UPDATE OF s"


@cache
def turn() -> str:
    """Set the sample `name` to `percent`."""
    return f"""UPDATE {names().samples} SET percent = %(percent)s, modified = now()
    WHERE name = %(name)s"""


@cache
def create(name: str) -> str:
    """Make the row of a sample, at 0; nothing where it is there."""
    return f"""INSERT INTO {names().samples} (name, percent, note, created, modified)
    VALUES ({literal(name)}, 0, {literal(NOTE)}, now(), now()) ON CONFLICT (name) DO NOTHING"""


def lower_to_zero() -> str:
    """Statements of a trigger function that have nobody read by the canary.

    The row is locked first, whatever it says: one that is being raised says 0 until then.
    """
    samples, ours = names().samples, literal(CANARY)
    return f"""  PERFORM FROM {samples} s WHERE s.name = {ours} FOR UPDATE;
  {end_canary()};"""


@cache
def end_canary() -> str:
    """Set the canary to 0, if it is anything else."""
    return f"""UPDATE {names().samples} SET percent = 0, modified = now()
    WHERE name = {literal(CANARY)} AND percent <> 0"""


# --- their guard ---------------------------------------------------------------------


@cache
def guard(turning: str, emptied_by_tests: str) -> str:
    """Refuse what would raise a sample past its gates, or take its row away.

    To lower one is free, and so is to put back a row that is gone, at 0. The canary is above 0 in
    `BLOB_MIRRORED` alone, whoever asks.
    """
    ours = _ours()
    return f"""DECLARE
  turning boolean := coalesce(
    current_setting('{turning}', true) = pg_current_xact_id()::text, false);
  before numeric := 0;
BEGIN
  IF {emptied_by_tests} THEN
    RETURN NULL;
  END IF;
  IF tg_op = 'TRUNCATE' THEN
    turning := false;
  ELSIF tg_op = 'DELETE' THEN
    IF turning OR old.name NOT IN ({ours}) THEN
      RETURN old;
    END IF;
  ELSIF new.name NOT IN ({ours}) AND (tg_op = 'INSERT' OR old.name NOT IN ({ours})) THEN
    RETURN new;
  ELSIF tg_op = 'INSERT' OR new.name = old.name THEN
    IF tg_op = 'UPDATE' THEN
      before := old.percent;
    END IF;
    IF new.percent <= before AND new.percent >= 0 OR turning AND new.percent BETWEEN 0 AND 100
        AND (new.name <> {literal(CANARY)} OR {_mirrored()}) THEN
      RETURN new;
    END IF;
  END IF;
  RAISE EXCEPTION '% of the samples of the preferences migration is refused: they are raised under'
    ' gates, from 0 to 100, the canary in dual_write alone', tg_op
    USING ERRCODE = 'object_not_in_prerequisite_state',
    HINT = 'Run manage.py canary_prefs, or turn the sample in the admin.';
END"""
