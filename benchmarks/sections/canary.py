"""What the canary and shadow reads cost a read in dual_write."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from django.db import connections

from benchmarks.bench import Bench, alternating
from benchmarks.data import in_state
from benchmarks.plain.models import User
from benchmarks.series import Samples, Series
from prefs.models import UserPreferences
from prefs.sql import planned
from prefs.sql.documents import READ_ONE

TITLE = "Canary and shadow reads"
HOW = (
    "`document` in `dual_write`, by one process and one connection for each contender, a database"
    " of its own behind each; random users. The contenders take turns of 200 calls. The value of a"
    " round is the mean, since of a hundred calls one compares. `without either` is the same"
    " function of the database without the part that asks for the percentages."
)
WITHOUT, AT_0, AT_100, SHADOWED = (
    "`document`, without either",
    "`document`, canary at 0 %",
    "`document`, canary at 100 %",
    "`document`, shadow reads at 1 %",
)
_SAMPLES = {WITHOUT: (), AT_0: (), AT_100: ("100",), SHADOWED: ("--shadow", "1")}
_CALLS, _SLICE = 8_000, 200


def measure(bench: Bench) -> list[Series]:
    """Microseconds a call."""
    rng, samples = random.Random(bench.options.seed), Samples()
    with ExitStack() as stack:
        aliases = {}
        for name, arguments in _SAMPLES.items():
            database = stack.enter_context(bench.databases.copied(_verified(bench)))
            if arguments:
                bench.command(database, "canary_prefs", *arguments)
            aliases[name] = stack.enter_context(bench.databases.aliased(database))
        _forget_both(aliases[WITHOUT])
        users = list(User.objects.using(aliases[AT_0]).values_list("pk", flat=True))
        for number in range(bench.options.rounds):
            chosen = rng.choices(users, k=min(_CALLS, 4 * len(users)))
            for name, took in _take_turns(aliases, chosen).items():
                samples.add(name, {"µs": 1e6 * took / len(chosen)})
            bench.say(f"round {number + 1}: {len(chosen)} reads by each")
    return samples.series()


def _verified(bench: Bench) -> str:
    """The template in dual_write, verified: only then is anything compared."""

    def verify(database: str) -> None:
        bench.command(database, "verify_prefs")

    name = f"verified_{bench.options.users}"
    return bench.databases.once(name, verify, in_state(bench, "dual_write"))


def _forget_both(alias: str) -> None:
    ours = planned.functions()[READ_ONE].create
    without = re.sub(r"    IF dual_write THEN\n.*?END IF;\n", "", ours, count=1, flags=re.DOTALL)
    assert without != ours
    with connections[alias].cursor() as cursor:
        cursor.execute(without)


def _take_turns(aliases: Mapping[str, str], users: Sequence[int]) -> dict[str, float]:
    """Read these users by each contender, in slices; the seconds that each took."""
    took = dict.fromkeys(aliases, 0.0)
    for turn, begin in enumerate(range(0, len(users), _SLICE)):
        for name in alternating(list(aliases), turn):
            read = UserPreferences.objects.db_manager(aliases[name]).document
            began = time.perf_counter()
            for user in users[begin : begin + _SLICE]:
                read(user)
            took[name] += time.perf_counter() - began
    return took
