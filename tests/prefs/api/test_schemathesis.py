"""The running API against its own description, by requests that schemathesis makes up.

`PREFS_API_EXAMPLES=500` makes more of them, for each operation and state.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from prefs.domains import Shape
from prefs.mapping import LEAVES
from tests.prefs.api.asking import asking_as, with_token
from tests.prefs.api.serving import served
from tests.support import stores
from tests.support.stores import Place

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("PREFS_API_EXAMPLES", "3"))
# What it does not expect of good requests: another document than If-Match names; and of bad ones.
_POSITIVE = ["2xx", "304", "403", "404", "412", "428"]
_NEGATIVE = ["400", "401", "403", "404", "406", "412", "415", "428"]


for _leaf in LEAVES:
    if isinstance(_leaf.domain, Shape) and _leaf.domain.format:
        schemathesis.openapi.format(_leaf.domain.format, st.sampled_from(_leaf.domain.examples))


def configured(session: str, token: str) -> SchemathesisConfig:
    """All checks, all phases; a user who is logged in, and their CSRF token."""
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "workers": 1,
            "auth": {"openapi": {"session": {"api_key": session}}},
            "headers": {"X-CSRFToken": token},
            "parameters": {"header.X-Csrftoken": token},
            "generation": {
                "max-examples": EXAMPLES,
                "mode": "all",
                "deterministic": True,
                "allow-x00": False,
                "database": "none",
            },
            "checks": {
                "positive_data_acceptance": {"expected-statuses": _POSITIVE},
                "negative_data_rejection": {"expected-statuses": _NEGATIVE},
            },
        }
    )


def findings(stream: Iterable[events.EngineEvent]) -> tuple[int, list[str]]:
    """How many requests were checked, and what was found; an error of the checker's counts."""
    requests, found = 0, []
    for event in stream:
        match event:
            case events.ScenarioFinished(recorder=recorder):
                requests += len(recorder.cases)
                for case, checks in recorder.checks.items():
                    request = recorder.cases[case].value.as_curl_command()
                    failures = [each.failure_info for each in checks if each.failure_info]
                    found += [f"{request}\n{each.failure}" for each in failures]
            case events.NonFatalError(value=error) | events.FatalError(exception=error):
                found.append(repr(error))
    return requests, found


@pytest.mark.parametrize("place", Place, ids=lambda place: place.name)
def test_every_answer_is_as_described(site: str, place: Place) -> None:
    stores.enter(place)
    asking = asking_as(stores.insert_user(place, '{"theme": "light"}'))
    session, token = with_token(asking)
    # In one of the states as a site that requires If-Match.
    with served(site, api_require_if_match=place is Place.DROPPED) as address:
        schema = schemathesis.openapi.from_url(
            f"{address}/api/openapi.json", config=configured(session, token)
        )
        requests, found = findings(from_schema(schema).execute())
    assert not found, "\n\n".join(found[:5])
    assert requests > 100
