"""`manage.py dbshell` on the embedded server, with the server's own psql if there is no other."""

import os
import shutil
from collections.abc import Iterable

from django.conf import settings
from django.db.backends.postgresql import client

from project.embedded import server


class DatabaseClient(client.DatabaseClient):
    """Starts the server before psql."""

    def runshell(self, parameters: Iterable[str]) -> None:
        """Open psql on the database, the server being up."""
        # Asking for the parameters starts the server and fills in the settings.
        self.connection.get_connection_params()
        if shutil.which(self.executable_name) is None:
            os.environ["PATH"] += os.pathsep + str(server.use(settings.BASE_DIR).programs)
        super().runshell(list(parameters))
