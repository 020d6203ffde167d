"""A function of ours in the database."""

from __future__ import annotations

from dataclasses import dataclass

from prefs.sql.names import qualified


@dataclass(frozen=True, kw_only=True)
class StoredFunction:
    """How a function is made, called, kept from others, and dropped."""

    name: str
    takes: str = ""
    """The types of its arguments."""
    named: str = ""
    """The same with their names, where its body names them."""
    returns: str
    traits: str
    """How it is run, as CREATE takes it and `installed` reads it of the catalogs."""
    body: str
    kept: bool = False
    """Whether it is kept from PUBLIC: it runs with its owner's rights, or hides why it fails."""

    @property
    def signature(self) -> str:
        """It as PostgreSQL names it: qualified, with the types of its arguments."""
        return f"{qualified(self.name)}({self.takes})"

    @property
    def create(self) -> str:
        """The statement that makes it, or makes it anew."""
        return f"""CREATE OR REPLACE FUNCTION {qualified(self.name)}({self.named or self.takes})
RETURNS {self.returns} LANGUAGE plpgsql {self.traits} AS $function$
{self.body}
$function$"""

    @property
    def statements(self) -> tuple[str, ...]:
        """What makes it for those who may call it."""
        keep = f"REVOKE ALL ON FUNCTION {self.signature} FROM PUBLIC"
        return (self.create, keep) if self.kept else (self.create,)

    @property
    def drop(self) -> str:
        return f"DROP FUNCTION IF EXISTS {self.signature}"
