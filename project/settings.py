"""Settings of the reference site, read from the environment and from `.env`.

Without DATABASE_URL the site runs on its embedded PostgreSQL, in debug mode; with it, the
site is taken to be a real one, so that nothing unsafe is on unless it was asked for. In
both, every connection of ours names itself "prefs".
"""

from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")

DATABASE_URL: str = env.str("DATABASE_URL", default="")


def _debug() -> bool:
    debug = bool(env.bool("DEBUG", default=not DATABASE_URL))
    if not debug and not DATABASE_URL:
        raise ImproperlyConfigured(
            "DEBUG is off and DATABASE_URL is not set, and the embedded PostgreSQL is for"
            " development only: set DATABASE_URL=postgres://user:password@host/name, or DEBUG=on."
        )
    return debug


def _secret_key() -> str:
    key: str = env.str("SECRET_KEY", default="")
    if key:
        return key
    if not DEBUG:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set, and DEBUG is off: put a long random SECRET_KEY into the"
            " environment or into .env (DATABASE_URL being set turns DEBUG off)."
        )
    return "insecure-key-for-development-only"


def _database() -> dict[str, Any]:
    if not DATABASE_URL:
        database: dict[str, Any] = {"ENGINE": "project.embedded", "NAME": "prefs"}
    else:
        database = dict(env.db_url("DATABASE_URL"))
        if database["ENGINE"] != "django.db.backends.postgresql":
            raise ImproperlyConfigured(
                "DATABASE_URL must name a PostgreSQL server: postgres://user:password@host/name."
            )
    options = database.setdefault("OPTIONS", {})
    # A gate tells our sessions from those of the previous release by this name.
    options["application_name"] = "prefs"
    return database


DEBUG = _debug()
SECRET_KEY = _secret_key()
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = bool(env.bool("SECURE_COOKIES", default=not DEBUG))

DATABASES: dict[str, dict[str, Any]] = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "waffle",
    "project",
    "project.accounts",
    "prefs",
    "prefs.pages",
]
AUTH_USER_MODEL = "accounts.User"
LOGIN_REDIRECT_URL = "prefs_pages:preferences"
LOGOUT_REDIRECT_URL = "login"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "prefs.middleware.remember_user",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static"
