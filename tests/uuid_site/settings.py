"""The settings of the reference site, but for its users."""

from tests.support.settings import *  # noqa: F403
from tests.support.settings import INSTALLED_APPS

INSTALLED_APPS = ["tests.uuid_site" if app == "project.accounts" else app for app in INSTALLED_APPS]
AUTH_USER_MODEL = "uuid_site.Member"
