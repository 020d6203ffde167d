"""Which version of a document a client has seen: ETags, made of the document's text alone.

So a document has the same one in every route, in every state of the migration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from prefs.errors import PrefsError

# Matches whatever is stored, in a list of ETags.
ANY = "*"


class PreconditionFailed(PrefsError):
    """The document is not one of those that the client names; nothing was written.

    `etag` is that of the document as it is.
    """

    def __init__(self, user_id: object, etag: str) -> None:
        self.etag = etag
        super().__init__(
            f"The document of user {user_id} is another one than If-Match names: its ETag is"
            f" {etag}. Nothing was written. Read it again, and change what is there."
        )


def etag_of(text: str | None) -> str:
    """The strong ETag of a document by its text; SQL NULL is served as `null`."""
    return f'"{hashlib.sha256((text or "null").encode()).hexdigest()}"'


def matches(etags: Collection[str], etag: str) -> bool:
    """Whether one of `etags` is `etag`, by strong comparison: a weak one never is."""
    return ANY in etags or etag in etags
