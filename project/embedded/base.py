"""Django's PostgreSQL backend on the embedded server.

The server is started when the first connection is wanted, never by importing settings, and
its address is put into the connection's settings, where `dbshell` and tools look for it.
"""

from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base

from project.embedded import server
from project.embedded.client import DatabaseClient

SITE_DATABASE = "prefs"


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to the embedded server."""

    client_class = DatabaseClient

    def ensure_server(self) -> None:
        """Have the server up, used by this process, and its address in our settings.

        Raises:
            EmbeddedPostgresError: the server cannot run here; the message says what to do.
        """
        # Only the site's own database is made on first use; others have their makers.
        site = self.settings_dict["NAME"] == SITE_DATABASE
        address = server.use(settings.BASE_DIR, SITE_DATABASE if site else "")
        self.settings_dict.update(
            HOST=address.host, PORT=address.port, USER=address.user, PASSWORD=address.password
        )

    def get_connection_params(self) -> dict[str, Any]:
        """Return what to connect with, the server being up.

        Raises:
            EmbeddedPostgresError: the server cannot run here; the message says what to do.
        """
        self.ensure_server()
        params: dict[str, Any] = super().get_connection_params()
        return params
