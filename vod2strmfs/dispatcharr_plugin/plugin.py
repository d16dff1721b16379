"""What Dispatcharr loads. It is loaded anew at every reload, and each of Dispatcharr's processes has one of its own."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from .actions import act
from .periodic import follow_settings, restore, tend
from .places import Places
from .runs import request_stop
from .tasks import register

_PLACES = Places(Path(os.path.dirname(os.path.abspath(__file__))))


def _manifest() -> dict[str, Any]:
    """What `plugin.json` says: what Dispatcharr showed before the plugin was enabled, it shows now."""
    with open(_PLACES.folder / "plugin.json", "rb") as file:
        said: dict[str, Any] = json.load(file)
    return said


_MANIFEST = _manifest()
register()


class Plugin:
    """The plugin, as Dispatcharr calls it. It remembers nothing: what there is to know is in files."""

    name: str = _MANIFEST["name"]
    version: str = _MANIFEST["version"]
    description: str = _MANIFEST["description"]
    author: str = _MANIFEST["author"]
    fields: list[dict[str, Any]] = _MANIFEST["fields"]
    actions: list[dict[str, Any]] = _MANIFEST["actions"]

    def __init__(self) -> None:
        with suppress(OSError):  # The next button says what is wrong with the folder.
            _PLACES.prepare()
        follow_settings(_PLACES)
        restore(_PLACES)

    def run(self, action: str, params: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
        """Do what a button stands for; returns at once with what the page is to show.

        Raises:
            PluginError: it could not be done; its text is one line, without a secret.
        """
        return act(_PLACES, action, dict(context.get("settings") or {}))

    def stop(self, context: dict[str, Any]) -> None:
        """Called before the plugin is disabled, deleted or reloaded: then its run and its schedule go on."""
        if context.get("reason") == "reload":
            return
        # Nothing is made in the plugin's folder, which may be being deleted.
        if _PLACES.data.is_dir():
            request_stop(_PLACES)
            tend(_PLACES, None)
