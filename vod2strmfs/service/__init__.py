"""Use cases of several commands: refreshing the index, exporting to real files, and doing that again and again."""
