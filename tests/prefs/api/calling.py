"""A client over a real connection, and what many of them do at once."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.prefs.api.asking import JSON, PATCH, Asking, path, with_token


class Answer(NamedTuple):
    """What came over the wire."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Calling:
    """Requests of one user to a web server, a connection each."""

    def __init__(self, address: str, asking: Asking) -> None:
        self._address = urlsplit(address).netloc
        session, token = with_token(asking)
        self._always = {"Cookie": f"sessionid={session}", "X-CSRFToken": token}
        self.user = asking.user

    def send(self, method: str, body: bytes | str | None = None, **headers: str) -> Answer:
        """Send a request; headers by the names of arguments."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            sent = body.encode() if isinstance(body, str) else body
            connection.request(method, path(), sent, {**self._always, **named})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, **headers: str) -> Answer:
        return self.send("GET", **headers)

    def put(self, body: bytes | str, **headers: str) -> Answer:
        return self.send("PUT", body, content_type=JSON, **headers)

    def patch(self, body: bytes | str, **headers: str) -> Answer:
        return self.send("PATCH", body, content_type=PATCH, **headers)


def count_up(calling: Calling) -> int:
    """Add one to the document's `n`, again from the start whenever another was first.

    How often another was.
    """
    refused = 0
    while True:
        read = calling.get()
        number = json.loads(read.body)["n"] + 1
        answer = calling.patch(f'{{"n": {number}}}', if_match=read.headers["ETag"])
        if answer.status == 200:
            return refused
        assert answer.status == 412, answer
        refused += 1


def at_once(work: Callable[[], int], times: int, clients: int) -> int:
    """Have so many clients do the work so many times between them; the sum of what it says."""
    with ThreadPoolExecutor(clients) as threads:
        return sum(threads.map(lambda _: work(), range(times)))
