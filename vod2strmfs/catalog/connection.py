"""A connection to PostgreSQL that does not wait for ever."""

import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq

_LONGEST_SILENCE = 900.0
"""Seconds: so long a query may take that sends nothing meanwhile."""
_CANCEL_SECONDS = 1.0
"""So long the server has to take note that a query is not wanted any more."""


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

    def abandon(self) -> None:
        """Close it, whatever it is in the middle of, and wait for nothing but that the server is told.

        To end the transaction instead would mean to wait: for the query, and for psycopg's lock, which a stream of
        rows holds until it is closed. A stream that an exception has left is kept open by the exception's traceback.
        """
        try:
            if not self.closed and self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
                # A session that computes, or waits for a lock, would not notice that we are gone.
                with suppress(psycopg.Error):
                    self.cancel_safe(timeout=_CANCEL_SECONDS)
        finally:
            self.close()

    def _ask(self, heard: float) -> None:
        answers = pq.PGconn.ping(self.server.encode()) == pq.Ping.OK
        silence = time.monotonic() - heard
        if not answers or silence > _LONGEST_SILENCE:
            # Else psycopg would try to end the transaction, and wait again.
            if answers:
                self.abandon()
            self.close()
            raise psycopg.OperationalError(f"the server has not answered for {silence:.0f} seconds")
