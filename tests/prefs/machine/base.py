"""What all rules share: the site, the model, and the checks after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, transaction
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant

from prefs.ddl import sqlstate
from tests.prefs.machine import readers
from tests.prefs.machine.model import Model
from tests.prefs.machine.stores import Stores

USERS: Bundle[int] = Bundle("users")
MOST_USERS = 6
# Some rules can be taken after every so many steps only: there is more to learn from others.
SELDOM = 4
_NOT_WRITTEN, _NO_COLUMN = "55000", "42703"


class Base(RuleBasedStateMachine):
    """A site and its model. Users have small numbers here; `keys` has their primary keys."""

    stores: Stores
    origin: Model
    # Done to the site before each run.
    prepare: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.model = self.origin.copy()
        self.keys: dict[int, int] = {}
        self.next_number = -1
        self.steps = 0
        self.stores.empty(self.model.state)
        self.prepare()

    @invariant()
    def both_stores_are_as_the_model_says(self) -> None:
        wrong = self.stores.wrong(self.model, self.keys)
        assert not wrong, "\n".join(wrong)

    @invariant()
    def everybody_reads_the_documents_of_the_model(self) -> None:
        """Each step is read in some of the ways, and each way has its turn."""
        wrong = readers.wrong(self.model, self.keys, self.steps)
        self.steps += 1
        assert not wrong, "\n".join(wrong)

    def attempt(self, work: Callable[[], object], *, column: bool, refuses: bool = False) -> bool:
        """Do `work`, and see that it is refused where it must be; whether it was done.

        `column` is whether it names the column, and `refuses` whether that takes no writes.
        """
        gone = column and not self.model.has_column
        expected = _NO_COLUMN if gone else _NOT_WRITTEN if refuses else None
        found, message = None, ""
        try:
            with transaction.atomic():
                work()
        except DatabaseError as error:
            found, message = sqlstate(error), str(error)
        assert found == expected, f"refused with {found}, not {expected}: {message}"
        return found is None

    @contextmanager
    def taken_back(self) -> Iterator[None]:
        """The block is rolled back, by a savepoint or with its transaction."""
        model, keys = self.model.copy(), dict(self.keys)
        with transaction.atomic():
            yield
            transaction.set_rollback(True)
        self.model, self.keys = model, keys
