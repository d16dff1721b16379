"""What plugins find in Dispatcharr's `core.utils`."""

import json
import os


def send_websocket_update(group_name, event_type, data, collect_garbage=False):
    """Send something to all open pages. Nobody has one open here: it is put on a list in Redis."""
    import redis

    host, port = os.environ.get("REDIS_HOST", "localhost"), int(os.environ.get("REDIS_PORT", "6379"))
    with redis.Redis(host, port) as connection:
        connection.rpush("websocket", json.dumps([group_name, event_type, data]))
