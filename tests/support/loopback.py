"""HTTP servers of the tests: each serves from a thread for as long as it is used as a context manager."""

import threading
from http.server import ThreadingHTTPServer
from typing import Self


class LoopbackServer:
    """What such a server begins and ends with. Who inherits sets `_server`."""

    _server: ThreadingHTTPServer
    _poll_seconds = 0.05
    """How soon it notices that it is to end."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(self._poll_seconds,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
