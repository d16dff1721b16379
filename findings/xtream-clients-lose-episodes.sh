#!/bin/sh
# Two clients of Xtream panels lose episodes of a series, and say nothing, where the panel's list of seasons is short.
#
# Versions: pyxtream 0.8.0 (PyPI), @iptv/xtream-api 1.4.1 (npm) with its standardized serializer; Python 3.11, Node 20.
#
# `get_series_info` answers with `episodes`, a list for each season's number, and with `seasons`, which describes them:
# a picture, a date. That may lack a season of which there are episodes, or be empty, as pyxtream's own source remarks.
# One would expect the episodes to decide what there is. Both clients go through `seasons`, and what no season there
# takes is not in their answer. pyxtream also keeps a season's episodes by title, and seasons by name: of those that are
# called alike, as where a panel calls each episode as the series, the last one is left. Neither raises or warns.
#
# Seen, ids of episodes; the panel has 11 and 12 of season 1, and 21 and 22 of season 2:
#   seasons lists          pyxtream        @iptv/xtream-api
#   both                   11 12 21 22     11 12 21 22
#   the first only         11 12           11 12
#   none                   -               11 12 21 22
#   both, titles alike     12 22           11 12 21 22
#   both, called alike     21 22           11 12 21 22
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyxtream==0.8.0
cd "$folder"
npm install --silent --no-audit --no-fund --prefix "$folder" @iptv/xtream-api@1.4.1 >npm.log 2>&1
cat >client.mjs <<'JAVASCRIPT'
import { Xtream } from "@iptv/xtream-api";
import { standardizedSerializer } from "@iptv/xtream-api/standardized";

const [url, count] = process.argv.slice(2);
const client = new Xtream({ url, username: "me", password: "secret", serializer: standardizedSerializer });
for (let id = 0; id < Number(count); id++) {
    const show = await client.getShow({ showId: id });
    console.log(show.seasons.flatMap((season) => season.episodes.map((episode) => episode.id)).join(" "));
}
JAVASCRIPT

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import contextlib
import io
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

from pyxtream import XTream

folder = sys.argv[1]


def season(number, name=""):
    return {"id": number, "season_number": number, "name": name or f"Season {number}", "episode_count": 2,
            "air_date": "2017-12-01", "overview": "", "cover": "", "cover_big": ""}  # fmt: skip


def episodes(*titles):
    return {
        str(number): [
            {"id": f"{number}{place}", "season": number, "episode_num": place, "title": titles[2 * number + place - 3],
             "container_extension": "mkv", "added": "1700000000", "info": {"duration_secs": 3000}}
            for place in (1, 2)
        ]
        for number in (1, 2)
    }  # fmt: skip


TITLES = ("Secrets", "Lies", "Beginnings", "Endings")
SERIES = {
    "both": ([season(1), season(2)], episodes(*TITLES)),
    "the first only": ([season(1)], episodes(*TITLES)),
    "none": ([], episodes(*TITLES)),
    "both, titles alike": ([season(1), season(2)], episodes(*["Dark"] * 4)),
    "both, called alike": ([season(1, "Season"), season(2, "Season")], episodes(*TITLES)),
}
EXPECTED = [
    ("11 12 21 22", "11 12 21 22"),
    ("11 12", "11 12"),
    ("", "11 12 21 22"),
    ("12 22", "11 12 21 22"),
    ("21 22", "11 12 21 22"),
]
LOGIN = {
    "user_info": {"username": "me", "password": "secret", "auth": 1, "status": "Active", "exp_date": "2000000000"},
    "server_info": {"url": "127.0.0.1", "port": "80", "server_protocol": "http", "timestamp_now": 1700000000},
}
INFO = {"name": "Dark", "cover": "", "plot": "", "cast": "", "director": "", "genre": "", "releaseDate": "2017-12-01",
        "last_modified": "1700000000", "rating": "8", "backdrop_path": [], "youtube_trailer": "",
        "episode_run_time": "50", "category_id": "5", "category_ids": [5]}  # fmt: skip


class Panel(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = parse_qs(urlsplit(self.path).query)
        answer = LOGIN
        if asked.get("action") == ["get_series_info"]:
            [number] = asked["series_id"]
            seasons, shown = list(SERIES.values())[int(number)]
            answer = {"seasons": seasons, "info": {**INFO, "series_id": int(number)}, "episodes": shown}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Panel)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"


def by_pyxtream(number):
    series = SimpleNamespace(series_id=number, seasons={})
    client.get_series_info_by_id(series)
    return " ".join(episode.id for season in series.seasons.values() for episode in season.episodes.values())


with contextlib.redirect_stdout(io.StringIO()):
    client = XTream("panel", "me", "secret", url, cache_path=folder)
    python = [by_pyxtream(number) for number in range(len(SERIES))]
node = subprocess.run(["node", "client.mjs", url, str(len(SERIES))], check=True, capture_output=True, text=True)
found = list(zip(python, node.stdout.removesuffix("\n").split("\n"), strict=True))
print(f"{'seasons lists':23}{'pyxtream':16}@iptv/xtream-api")
for name, (first, second) in zip(SERIES, found, strict=True):
    print(f"{name:23}{first or '-':16}{second or '-'}")
sys.exit(found != EXPECTED)
PYTHON
