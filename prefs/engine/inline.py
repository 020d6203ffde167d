"""The backfill inside `migrate`: done at once where the site is small."""

from __future__ import annotations

from collections.abc import Callable

from prefs import conf
from prefs.engine.backfill import backfill
from prefs.engine.batches import Control
from prefs.engine.repair import Direction
from prefs.engine.sight import REMEDY, describe, hidden_from, rows_of_everybody
from prefs.engine.states import State, current_state
from prefs.sql import catalog


def backfill_inline(alias: str, say: Callable[[str], None]) -> None:
    """Copy the blobs if there are few users; else say which command copies them.

    Few is `PREFS_INLINE_BACKFILL_MAX_USERS`; counting stops there. Locks as `backfill`.
    """
    if current_state(alias) is not State.EXPANDED:
        return
    if hidden := hidden_from(alias):
        say(f"    Nothing was copied here: {describe(hidden)}. {REMEDY}")
        return
    limit = conf.current().inline_backfill_max_users
    [(users,)] = rows_of_everybody(alias, catalog.users_up_to(), limit=limit + 1)
    if users > limit:
        say(
            f"    More than {limit} users: nothing was copied here."
            " Run `manage.py backfill_prefs`, then `manage.py advance_prefs`."
        )
    elif users:
        run = backfill(alias, Direction.FORWARD, conf.current(), Control())
        say(f"    Copied the preferences of {run.copied} users.")
