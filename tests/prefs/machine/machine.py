"""The machine: every rule, on one site."""

from __future__ import annotations

from contextlib import closing

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.prefs.machine.instances import InstanceRules
from tests.prefs.machine.migration import MigrationRules
from tests.prefs.machine.stores import Stores
from tests.prefs.machine.writing import WritingRules

THOROUGH = settings(
    max_examples=300,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


def run(site: str, how: settings) -> None:
    """Run the machine. Raises for the first step after which the site is not as the model is."""
    with closing(Stores(site)) as looked_at:

        class Machine(WritingRules, InstanceRules, MigrationRules):
            stores = looked_at

        run_state_machine_as_test(Machine, settings=how)
