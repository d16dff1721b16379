#!/bin/sh
# guessit takes the year in the name of a series' folder for the season of an episode that has a number and no season.
#
# Versions: guessit 4.4.0 (PyPI), Python 3.11.
#
# A folder `Lost (2004)` holds an episode of which the number is known and the season is not. One would expect no season
# in the answer, as without the year; what comes is season 2004, from a folder two levels above the file, whatever the
# folder between is called, `Specials` included. The year is in the answer as well.
#
# Seen:
#   TV/Lost (2004)/Season Unknown/Episode 7.mkv  season 2004, year 2004, episode 7
#   TV/Lost (2004)/Unsorted/Episode 7.mkv        season 2004, year 2004, episode 7
#   TV/Lost (2004)/Specials/Episode 7.mkv        season 2004, year 2004, episode 7
#   TV/Lost (2004)/Season 1/Episode 7.mkv        season 1, year 2004, episode 7
#   TV/Lost/Unsorted/Episode 7.mkv               no season, episode 7
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check guessit==4.4.0

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from guessit import guessit

EXPECTED = {
    "TV/Lost (2004)/Season Unknown/Episode 7.mkv": (2004, 2004, 7),
    "TV/Lost (2004)/Unsorted/Episode 7.mkv": (2004, 2004, 7),
    "TV/Lost (2004)/Specials/Episode 7.mkv": (2004, 2004, 7),
    "TV/Lost (2004)/Season 1/Episode 7.mkv": (1, 2004, 7),
    "TV/Lost/Unsorted/Episode 7.mkv": (None, None, 7),
}
changed = False
for path, expected in EXPECTED.items():
    guess = guessit(path)
    found = tuple(guess.get(name) for name in ("season", "year", "episode"))
    print(f"{path}: season {found[0]}, year {found[1]}, episode {found[2]}")
    changed |= found != expected
sys.exit(changed)
PYTHON
