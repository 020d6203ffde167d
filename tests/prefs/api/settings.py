"""The site's settings for a web server that a test starts: as a site that compresses has them.

The CSRF token is in the session, so that a client needs one cookie alone.
"""

from tests.support.settings import *  # noqa: F403
from tests.support.settings import DATABASES, MIDDLEWARE

MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    *MIDDLEWARE,
]
CSRF_USE_SESSIONS = True
DATABASES["default"]["CONN_MAX_AGE"] = 60
