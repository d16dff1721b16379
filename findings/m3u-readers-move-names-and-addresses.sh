#!/bin/sh
# Three readers of M3U lists give a film a category's words for its name, another film's address, or leave it out.
#
# Versions: m3u-parser-generator 5.0.2 (npm); fhs-m3u2strm 1.0.5 and m3u-parser 0.4.2, and m3u-ipytv 1.0.2, which reads
# all of it right (PyPI); Python 3.11, Node 20.
#
# A line `#EXTINF:-1 name="value" …,Title`, perhaps some lines of other tags, and the address. One would expect readers
# to differ in what they make of broken lists; but these are ordinary ones:
#
# * m3u-parser-generator and m3u-parser take the first comma for the end of the attributes, within quotes too. Of the
#   category `Action, Adventure` the rest goes into the name, and to m3u-parser-generator the film has no category.
# * m3u-parser looks for the address in the next two lines. With two tags between (`#EXTGRP`, `#EXTVLCOPT`) the film is
#   left out.
# * fhs-m3u2strm, which makes .strm files of lists, knows a line by its four attributes in one order. Without one of
#   them (here `tvg-logo`) it passes over the line, and not over the address, which becomes another one of the film
#   before: the one film is missing, and the other has two.
#
# None raises or warns.
#
# Seen (name | category | end of the address):
#   m3u-ipytv              Dune (2021) | Action, Adventure | 1.mkv
#                          Heat (1995) | Drama | 2.mkv
#                          Up (2009) | Kids | 3.mkv
#   m3u-parser             Adventure",Dune (2021) | Action, Adventure | 1.mkv
#                          Up (2009) | Kids | 3.mkv
#   m3u-parser-generator   Adventure",Dune (2021) | | 1.mkv
#                          Heat (1995) | Drama | 2.mkv
#                          Up (2009) | Kids | 3.mkv
#   fhs-m3u2strm           Dune (2021) | Action, Adventure | 1.mkv
#                          Heat (1995) | Drama | 2.mkv 3.mkv
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >films.m3u <<'M3U'
#EXTM3U
#EXTINF:-1 tvg-id="1" tvg-name="Dune (2021)" tvg-logo="" group-title="Action, Adventure",Dune (2021)
http://panel.example/movie/me/secret/1.mkv
#EXTINF:-1 tvg-id="2" tvg-name="Heat (1995)" tvg-logo="" group-title="Drama",Heat (1995)
#EXTGRP:Drama
#EXTVLCOPT:http-user-agent=Player
http://panel.example/movie/me/secret/2.mkv
#EXTINF:-1 tvg-id="3" tvg-name="Up (2009)" group-title="Kids",Up (2009)
http://panel.example/movie/me/secret/3.mkv
M3U
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check m3u-ipytv==1.0.2 fhs-m3u2strm==1.0.5 m3u-parser==0.4.2
npm install --silent --no-audit --no-fund --prefix "$folder" m3u-parser-generator@5.0.2 >npm.log 2>&1
cat >read.mjs <<'JAVASCRIPT'
import { readFileSync } from "node:fs";
import { M3uParser } from "m3u-parser-generator";

for (const media of new M3uParser().parse(readFileSync("films.m3u", "utf8")).medias)
    console.log(`${media.name.trim()} | ${media.attributes["group-title"] ?? ""} | ${media.location.split("/").pop()}`);
JAVASCRIPT
cat >read.py <<'PYTHON'
import logging

from fhs_m3u2strm.import_m3u import import_m3u_file
from ipytv import playlist
from m3u_parser import M3uParser


def say(reader, films):
    print(f"{reader}:")
    for name, category, *addresses in films:
        print(name, category, " ".join(address.rpartition("/")[2] for address in addresses), sep=" | ")


logging.disable()
say("m3u-ipytv", ((film.name, film.attributes["group-title"], film.url) for film in playlist.loadf("films.m3u")))
parser = M3uParser(timeout=5).parse_m3u("films.m3u", check_live=False)
say("m3u-parser", ((film["name"], film["category"], film["url"]) for film in parser.get_list()))
films = import_m3u_file("films.m3u")
say("fhs-m3u2strm", ((film.tvg_name, film.tvg_group_title, *film.tvg_sources) for film in films))
PYTHON
(
    venv/bin/python read.py
    echo "m3u-parser-generator:"
    node read.mjs
) | tee found
cat >expected <<'EXPECTED'
m3u-ipytv:
Dune (2021) | Action, Adventure | 1.mkv
Heat (1995) | Drama | 2.mkv
Up (2009) | Kids | 3.mkv
m3u-parser:
Adventure",Dune (2021) | Action, Adventure | 1.mkv
Up (2009) | Kids | 3.mkv
fhs-m3u2strm:
Dune (2021) | Action, Adventure | 1.mkv
Heat (1995) | Drama | 2.mkv 3.mkv
m3u-parser-generator:
Adventure",Dune (2021) |  | 1.mkv
Heat (1995) | Drama | 2.mkv
Up (2009) | Kids | 3.mkv
EXPECTED
cmp -s found expected
