"""What was done with a plain column gives the same now, but for the differences that are meant."""

from __future__ import annotations

import pytest

from tests.prefs.differential import statements
from tests.prefs.differential.conftest import Expected
from tests.prefs.differential.meant import meant
from tests.prefs.differential.operations import everything
from tests.prefs.differential.outcome import differences, run
from tests.prefs.differential.world import World

OPERATIONS = everything()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_cannot_tell_the_two_apart(name: str, expected: Expected, ours: World) -> None:
    operation, plain = OPERATIONS[name], expected(name)
    if operation.raises is None:
        assert plain.error is None, f"with a plain column too: {plain.error!r}"
    else:
        assert isinstance(plain.error, operation.raises)
    outcome = run(ours, operation)
    sent = statements.more(plain.statements, outcome.statements)
    if statements.RECORDING:
        statements.record(name, ours.place, sent)
    assert differences(plain, outcome) == meant(name, ours.place)
    assert sent == statements.recorded(name, ours.place)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_plain_column_does_the_same_again(name: str, expected: Expected, plain: World) -> None:
    assert differences(expected(name), run(plain, OPERATIONS[name])) == {}
