"""A time is said as people say it, without an empty rest."""

import pytest

from prefs.engine.evidence import span


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (5399, "1 h 30 min"),
        (7500, "2 h 5 min"),
        (86_400, "24 h"),
        (172_800, "2 days"),
        (604_800 + 7200, "7 days 2 h"),
    ],
)
def test_a_time_is_said_without_an_empty_rest(seconds: float, said: str) -> None:
    assert span(seconds) == said
