"""A process that reads a film here and there, and compares what it gets with the film's bytes.

    python random_reader.py SHOWN FILM SEED READS FAR

prints how many reads were right, how many were answered with an error, and where the first wrong one was, as JSON.
FAR is the share of reads that are anywhere; the others are near the one before, as a player's. What the kernel has is
thrown away, so that every read is asked for. After an error the film is opened anew: it may have been learnt anew.
"""

import json
import os
import random
import sys
import time

_LARGEST = 1 << 18
_NEAR = 1 << 18


def main() -> None:
    """Read, print."""
    shown, film, seed, count, far = sys.argv[1:]
    chance = random.Random(int(seed))
    right, errors, wrong = 0, 0, ""
    size, place, file = os.path.getsize(film), 0, -1
    with open(film, "rb", buffering=0) as original:
        for _ in range(int(count)):
            is_near = chance.random() >= float(far)
            place = (place + chance.randrange(_NEAR)) % size if is_near else chance.randrange(size)
            length = chance.randrange(1, _LARGEST)
            try:
                file = file if file >= 0 else os.open(shown, os.O_RDONLY)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                got = os.pread(file, length, place)
            except OSError:
                errors += 1
                if file >= 0:
                    os.close(file)
                file = -1
                time.sleep(0.2)  # Else a film that cannot be had now is asked for without end.
                continue
            wanted = os.pread(original.fileno(), length, place)
            if got == wanted:
                right += 1
            elif got and wanted.startswith(got):
                errors += 1  # The kernel gives what came before the error; the next read would get that.
            elif not wrong:
                wrong = f"{length} bytes at {place}, of which {len(got)} came"
    print(json.dumps({"right": right, "errors": errors, "wrong": wrong}))


if __name__ == "__main__":
    main()
