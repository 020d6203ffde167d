"""Its settings: those of the benchmarks' site, without anything of ours."""

from benchmarks.settings import *  # noqa: F403
from benchmarks.settings import INSTALLED_APPS as _OURS
from benchmarks.settings import MIDDLEWARE as _WITH_OURS

INSTALLED_APPS = [*(app for app in _OURS if app.startswith("django.")), "benchmarks.site"]
MIDDLEWARE = [each for each in _WITH_OURS if not each.startswith("prefs.")]
AUTH_USER_MODEL = "site.User"
ROOT_URLCONF = "benchmarks.site.urls"
