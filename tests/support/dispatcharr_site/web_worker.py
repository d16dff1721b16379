"""A web worker without the web: `web_worker.py SOCKET`, a descriptor that it inherits.

Everything is patched by gevent before anything else is imported, as in uWSGI. Each line that comes is a call of the
plugin manager, as JSON: `{"id", "call", "arguments"}`. It is answered from a greenlet of its own, so one may overtake
another: `{"id", "answer"}` or `{"id", "raised": [type, text]}`.
"""
# ruff: noqa: E402

from gevent import monkey

monkey.patch_all()

import json
import logging
import os
import socket
import sys
import time

import django
import gevent

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
pauses = [0.0]


def watch():
    """Note how much later than it should a greenlet goes on."""
    while True:
        asleep = time.monotonic()
        time.sleep(0.005)
        pauses.append(time.monotonic() - asleep - 0.005)


def longest_pause():
    """The longest pause of the loop since this was asked last, in seconds."""
    longest = max(pauses)
    pauses[:] = [0.0]
    return longest


def modules():
    """The names of all that is imported, and what Python looks through."""
    return {"modules": sorted(sys.modules), "path": sys.path}


def main():
    """Answer until nobody asks any more."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dispatcharr.settings")
    django.setup()
    from apps.plugins.loader import PluginManager

    manager = PluginManager.get()
    own = {"longest_pause": longest_pause, "modules": modules}
    line = socket.socket(fileno=int(sys.argv[1]))
    gevent.spawn(watch)

    def answer(asked):
        function = own.get(asked["call"]) or getattr(manager, asked["call"])
        try:
            said = {"answer": function(*asked["arguments"][0], **asked["arguments"][1])}
        except Exception as error:
            # What Dispatcharr sends to the page with status 500.
            said = {"raised": [type(error).__name__, str(error)]}
        line.sendall(json.dumps({"id": asked["id"], **said}, default=str).encode() + b"\n")

    for text in line.makefile():
        gevent.spawn(answer, json.loads(text))


if __name__ == "__main__":
    main()
