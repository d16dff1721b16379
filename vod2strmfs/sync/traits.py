"""What a sync asks of every item, whichever process made it."""

from vod2strmfs.extract.incoming import Incoming, Traits
from vod2strmfs.extract.titles import TitleCleaner
from vod2strmfs.extract.versions import contradiction, lines
from vod2strmfs.library.contents import Item
from vod2strmfs.library.items import Episode, Movie, Series
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.same_title import name_key


class Observer:
    """Says what there is to say of items.

    Args:
        settings: the library's.
    """

    def __init__(self, settings: LibrarySettings) -> None:
        self._cleaner = TitleCleaner(settings.clean_titles, settings.name_regex)
        self._joins = settings.merge != "off"

    def of(self, incoming: Incoming) -> Traits:
        """The traits of an item on its way into the index, which remembers them."""
        if incoming.traits is None:
            incoming.traits = self.traits_of(incoming.item)
        return incoming.traits

    def traits_of(self, item: Item) -> Traits:
        """The traits of an item of any kind."""
        match item:
            case Episode():
                return Traits(item.season, 0, lines(item.video.width, item.video.height))
            case Movie():
                name = name_key(item, self._cleaner) if self._joins else 0
                return Traits(None, name, lines(item.video.width, item.video.height), contradiction(item))
            case Series():
                return Traits(None, name_key(item, self._cleaner) if self._joins else 0)
            case _:
                return _NONE


_NONE = Traits()
