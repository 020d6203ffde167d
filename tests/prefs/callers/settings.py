"""The site's settings for a process that a test starts: reached as PREFS_TEST_CONNECTION says.

That is a JSON object of settings for the database; its OPTIONS are added to ours.
"""

import json
import os

from tests.support.settings import *  # noqa: F403
from tests.support.settings import DATABASES

ROOT_URLCONF = "tests.prefs.callers.urls"

_given = json.loads(os.environ["PREFS_TEST_CONNECTION"])
_options = {**DATABASES["default"]["OPTIONS"], **_given.pop("OPTIONS", {})}
DATABASES["default"].update(_given, OPTIONS=_options)
