#!/bin/sh
# findmnt ends with 0 where it finds no file system of a type, unless it is asked for a list.
#
# Versions: util-linux 2.38.1 of Debian 12. With 2.41.5 of Debian 13 the exit codes are the same.
#
# Its manual says that it ends with 1 if no file system is found by the filter that was given. So scripts and units ask
# `findmnt --types fuse.rclone` whether a mount of that kind is there. The answer is yes as long as anything is mounted:
# in the form of a tree, which is the default unless a source or a place is named, it looks whether there is a tree, and
# not whether anything of it was shown. That goes for `--json`, too. As a list, in any of its forms, the filter counts.
#
# Seen, `findmnt --types fuse.this-is-not-there`:
#   by itself, and with --noheadings           nothing, exit code 0
#   with --json                                an empty list, exit code 0
#   with --list, --raw, --pairs, --df          nothing, exit code 1
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/archives/partial"
: >"$folder/status"
apt-get -qq -o Debug::NoLocking=1 -o Dir::State::status="$folder/status" -o Dir::Cache::archives="$folder/archives" \
    -o APT::Sandbox::User=root --no-install-recommends --download-only --yes \
    install 'util-linux=2.38.1*' >"$folder/fetched"
for package in "$folder"/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
libraries=$(find "$folder/root" -name 'lib*.so*' -printf '%h\n' | sort -u | tr '\n' :)
loader=$(find "$folder/root/lib" "$folder/root/lib64" -name 'ld-linux*.so.*' 2>"$folder/none" | head -n 1)
changed=0
for wanted in :0 --noheadings:0 --json:0 --list:1 --raw:1 --pairs:1 --df:1; do
    form=${wanted%:*}
    code=0
    "$loader" --library-path "$libraries" "$folder/root/bin/findmnt" $form --types fuse.this-is-not-there \
        >"$folder/found" 2>&1 || code=$?
    echo "findmnt $form --types fuse.this-is-not-there: exit code $code, said: $(tr -d '\n ' <"$folder/found")"
    [ "$code" = "${wanted#*:}" ] || changed=1
done
exit $changed
