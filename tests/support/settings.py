"""The site's settings for a process that a test starts: its database, and PREFS_ settings.

PREFS_TEST_SETTINGS is a JSON object; a number for a setting that is a time means seconds.
"""

import json
import os
from datetime import timedelta

from prefs.conf import Settings
from project.settings import *  # noqa: F403
from project.settings import DATABASES

if "PREFS_TEST_DATABASE" in os.environ:
    DATABASES["default"]["NAME"] = os.environ["PREFS_TEST_DATABASE"]

for _name, _value in json.loads(os.environ.get("PREFS_TEST_SETTINGS", "{}")).items():
    _is_time = isinstance(getattr(Settings, _name), timedelta) and not isinstance(_value, str)
    globals()[f"PREFS_{_name.upper()}"] = timedelta(seconds=_value) if _is_time else _value
