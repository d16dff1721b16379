"""Images as files: having shown what is stored."""

from contextlib import closing

from vod2strmfs.artwork.figures import FILE_NAME
from vod2strmfs.index.order import ArtworkOrder
from vod2strmfs.settings import Settings


def show_stored(settings: Settings) -> None:
    """Have the index show the images that are stored, if images are wanted: a run fetches none.

    Raises:
        IndexFileError: the index cannot be written.
    """
    order = ArtworkOrder.of(settings)
    if order is None or not (settings.state_dir / FILE_NAME).exists():
        return
    from vod2strmfs.artwork.queue import Queue
    from vod2strmfs.artwork.wanted import wishes
    from vod2strmfs.sync.pictures import publish

    with closing(Queue(settings.state_dir)) as queue:
        queue.want(wishes(settings.state_dir, episodes=order.episodes))
        publish(settings.state_dir, queue.path, order.extensions)
