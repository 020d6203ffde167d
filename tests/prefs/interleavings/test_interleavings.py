import time
import pytest
from tests.prefs.interleavings.play import Stage
from tests.prefs.interleavings.scenario import Scenario
from tests.prefs.interleavings.scenarios import SCENARIOS

@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_x(stage: Stage, scenario: Scenario) -> None:
    b=time.perf_counter()
    o = scenario.play(stage)
    e=time.perf_counter()-b
    print(f"{e:.1f}s {e/o.played*1000:.0f}ms", o)
    assert not o.wrong, str(o)
