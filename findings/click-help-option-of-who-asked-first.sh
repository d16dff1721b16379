#!/bin/sh
# A click command knows `-h` or not for as long as the process lives, by the context that first asked it for its help.
#
# Versions: click 8.5.1, and click 8.1.7 (PyPI); Python 3.11.
#
# A group says how help is asked for, by `help_option_names` in its `context_settings`, and its commands go by that. One
# would expect a command to be asked each time. From click 8.1.8 on, it keeps its help option when it has made one. So
# whoever makes a context of the command alone, as generators of documentation and tests do, or looks at it by way of
# another group, decides about all that comes: the same command line is an error then, with exit code 2. The names in
# the error are the other group's.
#
# Seen, `tool sub -h`, where `tool` has `-h` and `--help`:
#                                           click 8.5.1              click 8.1.7
#   first of all                            exit code 0              exit code 0
#   after the help of `sub` by itself       exit code 2              exit code 0
#   after `other sub -?`                    exit code 2              exit code 0
# and `other sub -?` after `tool sub -h`    exit code 2              exit code 0
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/ask.py" <<'PYTHON'
import click
from click.testing import CliRunner


def made():
    """Two groups with one command, and that."""
    tool = click.Group("tool", context_settings={"help_option_names": ["-h", "--help"]})
    other = click.Group("other", context_settings={"help_option_names": ["-?"]})
    sub = click.Command("sub", callback=lambda: None)
    tool.add_command(sub)
    other.add_command(sub)
    return tool, other, sub


def ask(group, option):
    return CliRunner().invoke(group, ["sub", option]).exit_code


codes = []
tool, other, sub = made()
codes.append(ask(tool, "-h"))
codes.append(ask(other, "-?"))
tool, other, sub = made()
sub.get_help(click.Context(sub, info_name="sub"))
codes.insert(1, ask(tool, "-h"))
tool, other, sub = made()
ask(other, "-?")
codes.insert(2, ask(tool, "-h"))
print(*codes)
PYTHON
changed=0
for wanted in "8.5.1:0 2 2 2" "8.1.7:0 0 0 0"; do
    click=${wanted%%:*}
    python3 -m venv "$folder/venv-$click"
    "$folder/venv-$click/bin/pip" install --quiet --disable-pip-version-check "click==$click"
    found=$("$folder/venv-$click/bin/python" "$folder/ask.py")
    echo "click $click: exit codes $found"
    [ "$found" = "${wanted#*:}" ] || changed=1
done
exit $changed
