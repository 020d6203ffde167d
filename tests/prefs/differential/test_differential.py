"""Every operation does what it did with the plain column, but for the differences that are meant."""

from __future__ import annotations

import pytest

from tests.prefs.differential.conftest import Expected
from tests.prefs.differential.operations import OPERATIONS
from tests.prefs.differential.operations import (
    everything as everything,
)
from tests.prefs.differential.outcome import differences, run
from tests.prefs.differential.world import World


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_cannot_tell_the_two_apart(name: str, expected: Expected, ours: World) -> None:
    operation = OPERATIONS[name]
    plain = expected(name)
    if operation.raises is None:
        assert plain.error is None, f"with a plain column too: {plain.error!r}"
    else:
        assert isinstance(plain.error, operation.raises)
    assert differences(plain, run(ours, operation)) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_plain_column_does_the_same_again(name: str, expected: Expected, plain: World) -> None:
    assert differences(expected(name), run(plain, OPERATIONS[name])) == []
