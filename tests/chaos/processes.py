"""What the processes of a run are made of: how a child lives, and what the short ones do."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from django.db import connection

from tests.chaos.board import Board
from tests.chaos.evidence import ENDED, Complaints
from tests.chaos.previous.models import User
from tests.chaos.stamper import TRIGGER
from tests.chaos.tenant import prepare_tenants


def become(work: Callable[[Callable[[], bool]], None], folder: Path) -> None:
    """Be a child: do the work until SIGTERM, then leave without the parent's exit handlers."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work(lambda: bool(ended))
    except BaseException:  # noqa: BLE001 - whatever it is, the report shows it
        where, what = traceback.format_exc().splitlines()[-4::3]
        Complaints(folder).add(ENDED, f"{what.strip()} {where.strip()}")
    sys.stdout.flush()
    os._exit(0)


def prepare(board: Board, users: int) -> None:
    """Make the database and its first users."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(TRIGGER)
    prepare_tenants()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_user (id, password, is_superuser, username, first_name,"
            " last_name, email, is_staff, is_active, date_joined, preferences)"
            " SELECT n, '', false, 'user ' || n, '', '', '', false, true, now(),"
            ' (ARRAY[\'{}\', \'{"theme": "dark", "beta": [1.0, null]}\','
            ' \'{"notifications": {"email": {"marketing": "yes", "digest": "daily"}}}\']'
            "::jsonb[])[n %% 3 + 1] || '{\"number\": 1}' FROM generate_series(1, %s) n",
            [users],
        )
    board.used = users
    for place in range(users):
        board.set_alive(place, alive=True)


def cancel_somebody(chance: float) -> None:
    """Cancel somebody's statement, or end their session; at times of somebody who has one.

    Then it hits long statements more than others: those of background work.
    """
    function = "pg_terminate_backend" if chance < 0.3 else "pg_cancel_backend"
    first = "state = 'active' DESC, " if 0.2 < chance < 0.5 else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {function}(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            f" AND backend_type = 'client backend' ORDER BY {first}random() LIMIT 1) s"
        )


def documents() -> dict[int, object]:
    """What the column holds, by place."""
    return {pk - 1: document for pk, document in User.objects.values_list("pk", "preferences")}
