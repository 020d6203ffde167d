"""Two databases, whose names no other run shares; MIGRATE and the runner by the environment."""

import os
from copy import deepcopy

from project.settings import *  # noqa: F403
from project.settings import DATABASES

_run = os.environ["PREFS_TEST_SUITE"]
_migrate = "PREFS_TEST_UNMIGRATED" not in os.environ

DATABASES["default"].update(NAME=f"prefs_suite_{_run}", TEST={"MIGRATE": _migrate})
DATABASES["other"] = deepcopy(DATABASES["default"])
DATABASES["other"]["NAME"] = f"prefs_suite_other_{_run}"
TEST_RUNNER = os.environ.get("PREFS_TEST_RUNNER", "prefs.testing.Runner")
