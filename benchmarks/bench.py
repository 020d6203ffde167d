"""What every section is given: the options, the databases, and how to measure round by round."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.management import call_command

from benchmarks.commands import Command, Finished
from benchmarks.databases import Databases
from benchmarks.series import Outcome, Samples


@dataclass(frozen=True, kw_only=True)
class Options:
    """How large a run is."""

    users: int
    rounds: int
    growth: tuple[int, ...]
    seed: int


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to do the same thing, and the template that each round of it begins with."""

    template: str
    run: Callable[[str], Outcome]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One run of the benchmarks; `say` is given lines of progress."""

    options: Options
    databases: Databases
    say: Callable[[str], None]

    def command(self, database: str, *arguments: str) -> Finished:
        """Run a command of ours to its end. Raises CommandFailed."""
        return self.begin(database, *arguments).finish()

    def begin(self, database: str, *arguments: str) -> Command:
        """Begin a command of ours, silent but for one JSON object."""
        return Command(self.databases.address, database, *arguments, "--json", "-v", "0")

    def prepare(self, database: str, *arguments: str) -> None:
        """Run a command of ours in this process: for what is made ready, and not measured."""
        with self.databases.aliased(database) as alias:
            call_command(*arguments, "-v", "0", "--database", alias, stdout=io.StringIO())

    def compete(self, contenders: Mapping[str, Contender]) -> Samples:
        """Measure each contender once a round, on a copy of its own, in alternating order."""
        samples = Samples()
        for number in range(self.options.rounds):
            for name in alternating(list(contenders), number):
                contender = contenders[name]
                with self.databases.copied(contender.template) as database:
                    outcome = contender.run(database)
                samples.add(name, outcome)
                self.say(f"round {number + 1}, {name}: {shown(outcome)}")
        return samples


def alternating(names: list[str], number: int) -> list[str]:
    """The names in the order of round `number`: forward, then backward."""
    return names[::-1] if number % 2 else names


def shown(outcome: Outcome) -> str:
    """An outcome in a line of progress."""
    return ", ".join(f"{value:.4g} {unit}" for unit, value in outcome.items())


@contextmanager
def timed(into: dict[str, float]) -> Iterator[None]:
    """Put the seconds that the block took into an outcome."""
    began = time.monotonic()
    yield
    into["s"] = time.monotonic() - began
