#!/bin/sh
# ffmpeg visits every fragment of an MP4 file before it plays, although the file ends with an index of its fragments.
#
# Versions: imageio-ffmpeg 0.6.0 (PyPI), which brings ffmpeg 7.0.2; Python 3.11.
#
# A file in fragments ends with an `mfra` box, which ffmpeg itself writes, and which says where each fragment begins.
# One would expect that opening it needs the beginning and that box, as other files need their `moov`. What comes over
# HTTP is one more request for each fragment, in order, to look at its `moof`: of a film of two hours, in fragments of
# two seconds, that would be 3,600 before the first picture. Only a `sidx` box (`-movflags +dash+global_sidx`) spares
# it that.
#
# Seen, requests of `ffmpeg -i URL` for the same 40 seconds:
#   plain, moov behind                4 or fewer
#   20 fragments, mfra at the end     more than 20
#   the same with a global sidx       4 or fewer
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.6.0

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import imageio_ffmpeg

folder = Path(sys.argv[1])
ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
SOURCE = ("-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=40", "-c:v", "mpeg4", "-b:v", "6M", "-g", "50")
FORMS = {
    "plain, moov behind": (),
    "20 fragments, mfra at the end": ("-movflags", "frag_keyframe+empty_moov", "-frag_duration", "2000000"),
    "the same with a global sidx": ("-movflags", "dash+global_sidx", "-frag_duration", "2000000"),
}
asked = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        content = (folder / self.path.lstrip("/")).read_bytes()
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        start, stop = int(first), int(last) + 1 if last else len(content)
        asked.append(start)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        try:
            self.wfile.write(content[start:stop])
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
counts = []
for number, (name, options) in enumerate(FORMS.items()):
    film = folder / f"{number}.mp4"
    subprocess.run([ffmpeg, "-loglevel", "error", *SOURCE, *options, film], check=True)
    asked.clear()
    url = f"http://127.0.0.1:{server.server_port}/{film.name}"
    subprocess.run([ffmpeg, "-hide_banner", "-i", url], capture_output=True)
    content = film.read_bytes()
    print(f"{name}: {len(asked)} requests; {content.count(b'moof')} moof, {content.count(b'mfra')} mfra")
    counts.append(len(asked))
server.shutdown()
sys.exit(not (counts[0] <= 4 and counts[1] > 20 and counts[2] <= 4))
PYTHON
