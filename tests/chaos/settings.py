"""The site on the harness's own cluster; which one, the environment says."""

import json
import os

from project.settings import *  # noqa: F403

DATABASES = {"default": json.loads(os.environ["PREFS_CHAOS_DATABASE"])}
INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.previous"]  # noqa: F405
