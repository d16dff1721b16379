"""The manifest: what Dispatcharr reads of the plugin without running it (`plugin.json`)."""

from typing import Any

from vod2strmfs import __version__
from vod2strmfs.dispatcharr_plugin import form
from vod2strmfs.dispatcharr_plugin.runs import LABELS

KEY = "vod2strm"
"""Name of the plugin's folder, and so what Dispatcharr calls it."""

_CONFIRM_ALL = {
    "required": True,
    "title": "Generate All?",
    "message": "This writes the library. Where Cleanup is set to Apply, it also deletes the files of titles that have"
    " left the catalogue. Preview cleanup shows which.",
}
_CONFIRM_APPLY = {
    "required": True,
    "title": "Delete stale files?",
    "message": "This writes the library, and deletes the files of titles that have left the catalogue, whatever"
    " Cleanup is set to. Preview cleanup shows which.",
}

_ACTIONS = (
    ("stats", "Count the database, the index and the output folder, and write the figures to a CSV file.", "Count"),
    ("generate_movies", "Write the .strm and .nfo files of all movies. Deletes nothing.", "Generate"),
    ("generate_series", "Write the .strm and .nfo files of all series. Deletes nothing.", "Generate"),
    ("generate_all", "Write movies and series, and clean up as set above.", "Generate"),
    ("preview_cleanup", "Write nothing but a report of what would be written, changed and deleted.", "Preview"),
    ("apply_cleanup", "Write movies and series, and delete the files of titles that have left the catalogue.", "Apply"),
)


def manifest() -> dict[str, Any]:
    """What `plugin.json` holds."""
    return {
        "key": KEY,
        "name": "vod2strm",
        "version": __version__,
        "description": "Writes your VOD library as .strm and .nfo files for Jellyfin, Emby and Kodi: films and series,"
        " with cleanup, reports and a schedule.",
        "author": "vod2strmfs",
        "license": "MIT",
        "min_dispatcharr_version": "0.20.0",
        "fields": form.fields(),
        "actions": actions(),
    }


def actions() -> list[dict[str, Any]]:
    """The buttons, as Dispatcharr has them in a manifest."""
    buttons: list[dict[str, Any]] = [
        {"id": name, "label": LABELS[name], "description": text, "button_label": button}
        for name, text, button in _ACTIONS
    ]
    asking = {"generate_all": _CONFIRM_ALL, "apply_cleanup": _CONFIRM_APPLY}
    for button in buttons:
        if confirm := asking.get(button["id"]):
            button["confirm"] = confirm
    return [
        *buttons,
        {"id": "status", "label": "Status", "description": "What is running, or came of the last run.",
         "button_label": "Show"},
        {"id": "stop", "label": "Stop", "description": "End the run. The next one does what is left.",
         "button_label": "Stop", "button_color": "red"},
    ]  # fmt: skip
