"""How long reading a film waits for what, and how long what was read is held."""

from typing import NamedTuple

from vod2strmfs.films.pace import PROOF_SECONDS


class Times(NamedTuple):
    """Times of reading films, in seconds."""

    read: float = 25.0
    """Until a read is answered with an error."""
    admission: float = 3.0
    """To wait for a stream that is about to be free."""
    linger: float = 30.0
    """That a film's buffers and its answer outlive the last close."""
    pause: float = 45.0
    """That an answer is held which nobody reads. What stands before Dispatcharr hangs up after 60."""
    forget: float = 300.0
    """That buffers are held which nobody reads."""
    retry: float = 0.5
    """Before another try, at first."""
    sulk: float = 5.0
    """For which reads fail at once after all tries have failed, so that readers that ask again harm nobody."""
    spoilt: float = 600.0
    """For which a film is not tried again that turned out to be another one, unless it was learnt anew."""
    proof: float = PROOF_SECONDS
    """For which the pace holds up a reader that is then taken for one that nobody watches."""
