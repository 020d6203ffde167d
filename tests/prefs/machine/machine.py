"""The machine: every rule, on one site."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from prefs.engine.states import State
from tests.prefs.machine.instances import InstanceRules
from tests.prefs.machine.migration import MigrationRules
from tests.prefs.machine.model import ORDER, READ_CUTOVER, Model
from tests.prefs.machine.stores import Stores
from tests.support.steps import go

THOROUGH = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


def run(
    site: str, state: State, how: settings, *, broken: Callable[[], None] = lambda: None
) -> None:
    """Run the machine, each time from a site in `state` on.

    Raises for the first step after which the site is not as the model is.
    `broken` breaks the code and the site before each run.
    """
    go(state)
    past_cutover = ORDER.index(state) >= ORDER.index(READ_CUTOVER)
    with closing(Stores(site)) as looked_at:

        class Machine(InstanceRules, MigrationRules):
            stores = looked_at
            origin = Model(state=state, verified_since_mirror=past_cutover)
            prepare = staticmethod(broken)

        run_state_machine_as_test(Machine, settings=how)
