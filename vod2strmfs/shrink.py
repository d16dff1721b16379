"""How much may go at once: asked by the sync of the catalogue's removals, and by cleanup of its own."""

MIN_ITEMS = 20
"""So few removals are not held back, unless nothing would be left."""


def holds(gone: int, total: int, max_shrink: int) -> bool:
    """Whether removals are to be held back.

    Args:
        gone: how many items would be removed, those held back before included.
        total: how many there are, the gone ones included.
        max_shrink: the percentage that may be removed.
    """
    if gone == total:
        return gone > 0
    return too_many(gone, total, max_shrink)


def too_many(gone: int, total: int, max_shrink: int) -> bool:
    """Whether so many are beyond the limit, something being left; arguments as of `holds`."""
    return gone > MIN_ITEMS and gone * 100 > max_shrink * total
