"""Leases: handed out, renewed with every batch, taken over from whoever no longer renews."""

from __future__ import annotations

from functools import cache

from prefs.sql.names import qualified

_RUN, _RANGE = qualified("prefs_run"), qualified("prefs_range")
_COUNTERS = ("users", "copied", "differing", "repaired", "batches", "retries")
_JOINED = ", ".join(f"{name} = r.{name} + h.{name}" for name in _COUNTERS)
_ADDED = ", ".join(f"{name} = h.{name} + %({name})s" for name in _COUNTERS)


@cache
def advance() -> str:
    """Add a batch to a range under its token; no row where it was lost: done, or abandoned.

    (paused, stopping, max_rate, target_ms, workers, users, differing). A `cursor` of NULL
    leaves it where it is: so a lease is renewed without a batch.
    """
    others = f"FROM {_RANGE} o WHERE o.run_id = r.id AND o.id <> h.id"
    return f"""UPDATE {_RANGE} h SET {_ADDED}, cursor = coalesce(%(cursor)s, h.cursor),
      lease_until = clock_timestamp() + %(lease)s
    FROM {_RUN} r WHERE h.id = %(id)s AND h.token = %(token)s AND r.id = h.run_id
    RETURNING r.paused, r.stopping, r.max_rate, r.target_ms,
      1 + (SELECT count(*) {others} AND o.lease_until > clock_timestamp()),
      h.users + r.users + (SELECT coalesce(sum(o.users), 0)::bigint {others}),
      h.differing + r.differing + (SELECT coalesce(sum(o.differing), 0)::bigint {others})"""


@cache
def take_over() -> str:
    """Take over a range of `run` that nobody holds: its id, or no row; none of one that stops.

    SKIP LOCKED passes over one whose holder is committing a batch at this moment.
    """
    return f"""UPDATE {_RANGE} h SET token = h.token + 1, holder = %(holder)s,
      lease_until = clock_timestamp() + %(lease)s
    WHERE h.id = (SELECT o.id FROM {_RANGE} o
      WHERE o.run_id = %(run)s AND (o.lease_until IS NULL OR o.lease_until < clock_timestamp())
      AND NOT (SELECT r.stopping FROM {_RUN} r WHERE r.id = %(run)s)
      ORDER BY o.id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING h.id"""


@cache
def fold() -> str:
    """End a range under its token and add its counters to its run: the run's id, or no row."""
    return f"""WITH h AS (DELETE FROM {_RANGE} WHERE id = %(id)s AND token = %(token)s
      RETURNING *)
    UPDATE {_RUN} r SET {_JOINED}, lease_until = clock_timestamp()
    FROM h WHERE r.id = h.run_id RETURNING r.id"""


@cache
def release() -> str:
    """Leave a range under its token to whoever takes it up next; its counters join its run's."""
    none = ", ".join(f"{name} = 0" for name in _COUNTERS)
    return f"""WITH h AS (SELECT * FROM {_RANGE} WHERE id = %(id)s AND token = %(token)s
      FOR UPDATE),
    left_over AS (UPDATE {_RANGE} o SET {none}, lease_until = NULL FROM h WHERE o.id = h.id)
    UPDATE {_RUN} r SET {_JOINED}, lease_until = clock_timestamp()
    FROM h WHERE r.id = h.run_id"""
