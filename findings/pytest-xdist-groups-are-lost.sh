#!/bin/sh
# pytest-xdist's `--dist loadgroup` takes no notice of groups under pytest 9.2, and says nothing of it.
#
# Versions: pytest-xdist 3.8.0 with pytest 9.2.0, and with pytest 8.4.2; Python 3.11.
#
# Tests that are marked with `@pytest.mark.xdist_group("a")` are to run in one process. xdist tells its scheduler by a
# suffix that it writes into the private attribute `_nodeid` of each test; pytest 9.2 keeps a test's identity elsewhere.
# So each test is a group of its own: fixtures of modules are set up in every process, and tests that must not run side
# by side do. All tests pass, there is no warning, and the group's name is missing from the names of tests in the output.
# `--dist loadfile` still keeps files together.
#
# Seen: with pytest 9.2.0 the tests of one group run in 2 processes, with 8.4.2 in 1.
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >test_groups.py <<'PYTHON'
import os, time
import pytest

@pytest.mark.parametrize("number", range(20))
@pytest.mark.xdist_group("all of them")
def test_one_of_the_group(number):
    time.sleep(0.1)
    with open("ran", "a") as ran:
        ran.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PYTHON
changed=0
for wanted in 9.2.0:2 8.4.2:1; do
    pytest=${wanted%:*}
    python3 -m venv "venv-$pytest"
    "venv-$pytest/bin/pip" install --quiet --disable-pip-version-check pytest-xdist==3.8.0 "pytest==$pytest"
    rm -f ran
    "venv-$pytest/bin/pytest" --quiet --numprocesses 2 --dist loadgroup test_groups.py >said 2>&1
    grep -q '20 passed' said
    processes=$(sort -u ran | wc -l)
    echo "pytest $pytest: the tests of one group ran in $processes"
    [ "$processes" = "${wanted#*:}" ] || changed=1
done
exit $changed
