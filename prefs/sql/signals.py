"""What tells background work to wait: one row about how busy the database is."""

from __future__ import annotations

from prefs.conf import APPLICATION_NAME
from prefs.sql.names import literal

# Sessions of workers name themselves so while a batch is open.
WORKER = f"{APPLICATION_NAME} worker"


def signals() -> str:
    """(seconds of replication lag, sessions that wait for a worker, active, oldest in seconds).

    Sessions of workers and this one are not counted among the active, nor is their age. What
    the role may not see (pg_monitor may) counts as nothing. A transaction in another database
    keeps nothing from being vacuumed in this one, but a session there takes its share of the CPU.
    """
    here = "a.datname = current_database()"
    worker = f"({here} AND a.application_name = {literal(WORKER)})"
    others = "a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()"
    return f"""SELECT
      (SELECT coalesce(extract(epoch FROM max(r.replay_lag)), 0)
        FROM pg_stat_replication r),
      (SELECT count(*) FROM pg_stat_activity a WHERE a.wait_event_type = 'Lock'
        AND pg_blocking_pids(a.pid) && ARRAY(
          SELECT a.pid FROM pg_stat_activity a WHERE {worker})),
      (SELECT count(*) FROM pg_stat_activity a
        WHERE {others} AND NOT {worker} AND a.state = 'active'),
      (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(a.xact_start)), 0)
        FROM pg_stat_activity a WHERE {others} AND {here} AND NOT {worker})"""
