"""The beginning of a process of the plugin: `python -P start.py …`, and on to `work` in the core's own surroundings.

A script in the plugin's folder. It may take a second: the core is copied beside the data when it is new.
"""

import importlib
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType


def main() -> None:
    """Become `work`, or say why that cannot be."""
    # uWSGI's sockets, say: whoever holds them keeps its port taken after it has ended.
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):
                os.close(int(name))
    folder = Path(os.path.dirname(os.path.abspath(__file__)))
    vendored = _module(folder, "vendored")
    places = _module(folder, "places").Places(folder)
    command = vendored.command("vod2strmfs.dispatcharr_plugin.work", str(folder), *sys.argv[1:])
    try:
        environment = vendored.environment(places.data)
    except vendored.VendoredError as error:
        if sys.argv[1] == "check":
            print(json.dumps({"error": str(error)}))
        elif sys.argv[1] == "run":
            _module(folder, "runs").end(places, sys.argv[2], error=str(error))
        return
    os.execve(command[0], command, environment)


def _module(folder: Path, name: str) -> ModuleType:
    """A module that lies beside this one, whose modules import one another relatively."""
    package = ModuleType("vod2strm_plugin")
    package.__path__ = [str(folder)]
    sys.modules.setdefault(package.__name__, package)
    return importlib.import_module(f"{package.__name__}.{name}")


if __name__ == "__main__":
    main()
