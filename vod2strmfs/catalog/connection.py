"""A connection to PostgreSQL that does not wait for ever."""

import time
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg import pq

_LONGEST_SILENCE = 900.0
"""Seconds: so long a query may take that sends nothing meanwhile. Some wait for a migration's locks."""


class Connection(psycopg.Connection[tuple[object, ...]]):
    """A connection that notices when its server has stopped answering.

    The kernel of a server whose processes are paused, or of one behind a proxy, goes on acknowledging packets. So
    while an answer is awaited, the server is asked now and then whether it is there.
    """

    server = ""
    """The connection string of the one server that it leads to."""
    patience = 10.0
    """Seconds of silence after which the server is asked; it has as long again to answer."""

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
        """See psycopg; every answer of the server is awaited here."""
        return super().wait(self._listen(gen), *arguments, **options)

    def _listen(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        heard = asked = time.monotonic()
        ready = None
        while True:
            try:
                # What psycopg sends when nothing happened within a tenth of a second is false.
                wanted = gen.send(ready)
            except StopIteration as end:
                return end.value
            ready = yield wanted
            now = time.monotonic()
            if ready:
                heard = asked = now
            elif now - asked > self.patience:
                self._ask(heard)
                asked = time.monotonic()

    def _ask(self, heard: float) -> None:
        answers = pq.PGconn.ping(self.server.encode()) == pq.Ping.OK
        silence = time.monotonic() - heard
        if not answers or silence > _LONGEST_SILENCE:
            # Else psycopg would try to end the transaction, and wait again.
            self.close()
            raise psycopg.OperationalError(f"the server has not answered for {silence:.0f} seconds")
