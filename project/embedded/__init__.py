"""A PostgreSQL server of the project's own, for development, tests and the demonstration.

`ENGINE = "project.embedded"` starts it when the first connection is wanted. Nothing here
opens a folder of yours to others, listens on a network, or creates an account.
"""


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used; the message says what to do."""
