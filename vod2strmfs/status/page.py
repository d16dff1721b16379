"""How the process of the status page is started: its command line, which every user can see, and what it is told."""

import json

from vod2strmfs.settings import ENVIRONMENT_PREFIX, Settings

MODULE = "vod2strmfs.web"
HIDDEN = (ENVIRONMENT_PREFIX, "POSTGRES_", "PG")
"""How the environment's variables begin that the page does not get."""


def page_arguments(settings: Settings) -> list[str]:
    """The arguments of the page's command line."""
    return [settings.status_listen, str(settings.reports.absolute()), str(settings.state_dir.absolute())]


def page_order(settings: Settings) -> str:
    """The first line of the page's standard input: what no other user may see."""
    token = settings.status_token.get_secret_value() if settings.status_token else ""
    return json.dumps({"token": token})


def read_order(line: str) -> str:
    """The token that the first line of the page's standard input holds; empty if there is none."""
    return str(json.loads(line.strip() or "{}").get("token", ""))
