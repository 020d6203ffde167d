"""A deploy: which processes of which release run, and the steps of the migration among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from prefs.engine.unexpand import FORGET
from tests.previous_release.documents import name
from tests.previous_release.processes import Worker, previous_release, this_release
from tests.previous_release.traffic import Client, CurrentClient, PreviousClient, Traffic
from tests.support import scratch

_SHARED = 6
_WRITES_A_STAGE = 12


class Fleet:
    """The processes of one release; each has a client, who outlives the process."""

    def __init__(self, make: Callable[[str], Worker], clients: list[Client]) -> None:
        self._make = make
        self._processes = ExitStack()
        self.clients = clients
        self.workers: list[Worker] = []
        self.at_work: list[Traffic] = []

    def start(self, database: str, readers: list[Worker]) -> None:
        """Start a process for each client; `readers` read after them, or they themselves."""
        for client in self.clients:
            client.writer = self._processes.enter_context(self._make(database))
            self.workers.append(client.writer)
        self.read_by(readers)
        self.at_work = [Traffic(client) for client in self.clients]

    def read_by(self, readers: list[Worker]) -> None:
        """From now on these processes read what the running clients write."""
        others = readers or self.workers[::-1]
        for client, reader in zip(self.clients, others, strict=False):
            client.read_by(reader)

    def stop(self) -> None:
        """End the processes, each between two writes."""
        for traffic in self.at_work:
            traffic.stop()
        self._processes.close()
        self.workers, self.at_work = [], []


class Deploy:
    """One site with its processes, before, while and after it is migrated."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._environ = {
            **scratch.environment(database, cutover_soak=0, contract_soak=0),
            # At the end it is all taken away.
            FORGET: "audit,archive",
        }
        with previous_release(database) as shop:
            shared = [
                shop.ask("add", writer="create", username=name(), document={})
                for _ in range(_SHARED)
            ]
        # To jsonb 10 equals 10.0, which is not an integer to the column, nor is "mauve" a
        # date format: the previous release tests no value.
        self.previous = Fleet(
            previous_release,
            [
                PreviousClient(shared, "items_per_page", (10, 10.0, 25, 25.0)),
                PreviousClient(shared, "date_format", ("iso", "mauve", None)),
            ],
        )
        self.current = Fleet(
            this_release,
            [
                CurrentClient(shared, "theme", ("light", "dark", "system")),
                CurrentClient(shared, "compact_mode", (True, False)),
            ],
        )

    def manage(self, *arguments: str) -> str:
        """Run `manage.py arguments`, which must end well; what it said."""
        outcome = scratch.manage(self._environ, *arguments)
        assert outcome.returncode == 0, (arguments, outcome.stdout, outcome.stderr)
        return outcome.stdout

    def start(self, fleet: Fleet) -> None:
        """Start a release beside the other, or alone."""
        other = self._other(fleet)
        fleet.start(self._database, other.workers)
        other.read_by(fleet.workers)

    def stop(self, fleet: Fleet) -> None:
        """Stop a release; the other goes on."""
        self._other(fleet).read_by([])
        fleet.stop()

    def _other(self, fleet: Fleet) -> Fleet:
        return self.current if fleet is self.previous else self.previous

    def lost(self) -> list[str]:
        """Every acknowledged write of every client that is not there, or once was not.

        Those of each release are read by the other where it runs, while all write on. First
        every client must have got some way further.
        """
        for traffic in (*self.previous.at_work, *self.current.at_work):
            traffic.await_writes(_WRITES_A_STAGE)
        found: list[str] = []
        for fleet in (self.previous, self.current):
            [reader, *_] = self._other(fleet).workers or fleet.workers
            for client in fleet.clients:
                found += client.check(reader)
        return found


@contextmanager
def deploy(database: str) -> Iterator[Deploy]:
    """A site of which nothing runs yet; whatever runs at the end is stopped."""
    made = Deploy(database)
    try:
        yield made
    finally:
        for fleet in (made.previous, made.current):
            made.stop(fleet)
