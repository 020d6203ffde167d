"""The site on a database of the benchmarks; which one, and under what name, the environment says.

No debug mode: it would keep every statement in memory.
"""

import json
import os
from datetime import timedelta

from project.settings import *  # noqa: F403

DEBUG = False
SECRET_KEY = "benchmarks"  # noqa: S105
DATABASES = {"default": json.loads(os.environ["PREFS_BENCHMARKS_DATABASE"])}
INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks.plain"]  # noqa: F405

PREFS_CUTOVER_SOAK = timedelta(0)
