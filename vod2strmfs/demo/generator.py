"""The demo catalogue: as many invented films as wanted, looking like what two or three panels send."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import chain, cycle, islice
from random import Random
from typing import Any

from vod2strmfs.demo import panel, writer
from vod2strmfs.demo.catalogue import SCANNED, Catalogue
from vod2strmfs.demo.panel import Credits
from vod2strmfs.demo.titles import MOVIE_FORMS, SERIES_FORMS, TitleList, episode_title, is_untidy, plot, provider_name
from vod2strmfs.demo.writer import Batch, Record
from vod2strmfs.errors import UserError

Progress = Callable[[str, int], None]

_MOVIE_CATEGORIES = {
    "EN | Action": "Action, Adventure",
    "EN | Comedy": "Comedy",
    "EN | Crime": "Crime, Thriller",
    "EN | Drama": "Drama",
    "EN | Family": "Family, Animation",
    "EN | Horror": "Horror, Mystery",
    "EN | Romance": "Romance, Comedy",
    "EN | Science Fiction": "Science Fiction, Adventure",
    "EN | Documentaries": "Documentary",
    "4K | Films": "Drama, Thriller",
    "FR | Cinéma": "Drame, Comédie",
    "XX | For Adults": "Drama",
}
_SERIES_CATEGORIES = {
    "EN | Comedy Series": "Comedy",
    "EN | Crime Series": "Crime, Mystery",
    "EN | Drama Series": "Drama",
    "EN | Fantasy Series": "Fantasy, Adventure",
    "EN | Kids": "Animation, Family",
    "EN | Docuseries": "Documentary",
    "4K | Series": "Drama, Science Fiction",
    "FR | Séries": "Drame, Policier",
}
_DISABLED_CATEGORY = "XX | For Adults"
_SPECIAL_CATEGORIES = {"|FR| ": "FR", "4K-EN": "4K"}
"""How a name begins, and how its category's does; every other name is in one of the categories for English."""

_TWO_ACCOUNTS = 0.15
_BATCH = 500

# Real ids would bring real films' posters and plots to a media server; these are far beyond any that exist.
_FIRST_TMDB_ID = 90_000_000
_FIRST_MOVIE_IMDB_ID = 90_000_000
_FIRST_SERIES_IMDB_ID = 97_000_000

_EPISODE_SHARES = (10, 24, 6, 12, 8, 1, 40, 13, 0, 22, 10, 6)
"""How series compare in length, in turn; one in twelve was never opened in Dispatcharr and has no episodes yet."""


def write_demo(
    target: str, *, movies: int, series: int, episodes: int, seed: int, progress: Progress | None = None
) -> None:
    """Write the demo catalogue into an empty database; equal arguments give equal rows.

    A few rows are not eligible. Of every 200 movies one is on the inactive account alone, and one in a category
    that is disabled; of every 100 series one is on the inactive account alone, with all its episodes. One series
    in twelve has no episodes.

    Args:
        target: see `vod2strmfs.demo.writer.write`.
        movies: rows in `vod_movie`.
        series: rows in `vod_series`.
        episodes: rows in `vod_episode`, spread over all series.
        seed: decides titles, ids and everything else.
        progress: called now and then with `"movies"`, `"series"` or `"episodes"` and how many of these are written.

    Raises:
        UserError: the target cannot be used, or the numbers cannot be met.
    """
    catalogue = Catalogue(seed)
    providers = _Providers(catalogue)
    movie_maker = _Movies(catalogue, providers, Random(f"{seed} movies"))
    series_maker = _Series(catalogue, providers, Random(f"{seed} series"))
    for name, number, limit in (("movies", movies, movie_maker.limit), ("series", series, series_maker.limit)):
        if not 0 <= number <= limit:
            raise UserError(f"The demo has 0 to {limit:,} {name}, not {number:,}.")
    if episodes < 0 or (episodes and not series):
        raise UserError(f"{episodes:,} episodes cannot be spread over {series:,} series.")
    made = chain(movie_maker.make(movies), series_maker.make(series, episodes))
    writer.write(target, _batches(catalogue, made, progress or (lambda kind, count: None)))


def _batches(catalogue: Catalogue, made: Iterator[str], progress: Progress) -> Iterator[Batch]:
    """The rows of the items that are `made`, which are named by their kind, five hundred items at a time."""
    counts: Counter[str] = Counter()
    for kind in made:
        counts[kind] += 1
        if counts.total() % _BATCH == 0:
            yield from catalogue.drain()
            progress(kind, counts[kind])
    yield from catalogue.drain()
    for kind, count in counts.items():
        progress(kind, count)


class _Providers:
    """The accounts, what they offer, and the numbers that they give to streams."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.first = catalogue.account("Northlight", priority=20, server_url="http://northlight.example:8080")
        self.second = catalogue.account("Harbour TV", priority=10, server_url="https://harbour-tv.example")
        self.retired = catalogue.account("Old Panel", priority=30, active=False)
        self.movie_categories = self._categories(catalogue, "movie", _MOVIE_CATEGORIES)
        self.series_categories = self._categories(catalogue, "series", _SERIES_CATEGORIES)
        self.disabled_category = self.movie_categories.pop(_DISABLED_CATEGORY)
        # Both count from the same number, so that one stream id means different titles, as it does in real life.
        self._last_stream_id = {account.id: 100_000 for account in (self.first, self.second, self.retired)}

    def _categories(self, catalogue: Catalogue, kind: str, names: dict[str, str]) -> dict[str, Record]:
        categories = {name: catalogue.category(name, kind) for name in names}
        for account in (self.first, self.second, self.retired):
            for name, category in categories.items():
                catalogue.enable(account, category, enabled=name != _DISABLED_CATEGORY)
        return categories

    def accounts_for(self, random: Random) -> list[Record]:
        """The accounts that offer an item: both active ones, or one of them."""
        if random.random() < _TWO_ACCOUNTS:
            return [self.first, self.second]
        return [random.choice((self.first, self.first, self.second))]

    def next_stream_id(self, account: Record) -> str:
        """A number that the account has not given yet."""
        self._last_stream_id[account.id] += 1
        return str(self._last_stream_id[account.id])


def _category_for(random: Random, name: str, categories: dict[str, Record]) -> Record:
    beginning = _SPECIAL_CATEGORIES.get(name[:5], "EN")
    return random.choice([category for title, category in categories.items() if title.startswith(beginning)])


def _rating(random: Random) -> str:
    return f"{random.triangular(3.5, 9.2, 6.6):.1f}"


class _Movies:
    """Makes movies with their logos and relations."""

    def __init__(self, catalogue: Catalogue, providers: _Providers, random: Random) -> None:
        self._catalogue = catalogue
        self._providers = providers
        self._random = random
        self._titles = TitleList(random, MOVIE_FORMS)
        self.limit = len(self._titles)

    def make(self, count: int) -> Iterator[str]:
        """Add movies, yielding after each."""
        for number in range(count):
            self._add(number)
            yield "movies"

    def _add(self, number: int) -> None:
        random, providers = self._random, self._providers
        name, year = provider_name(self._titles, number)
        accounts = providers.accounts_for(random)
        category = _category_for(random, name, providers.movie_categories)
        if number % 200 == 13:
            accounts = [providers.retired]
        elif number % 200 == 77:
            category = providers.disabled_category
        poster = f"https://images.example/poster/movie/{number}.jpg"
        credits = Credits.invent(random, year)
        is_detailed = random.random() < 0.3
        movie = self._catalogue.movie(
            name,
            relations=[],
            year=year if random.random() < 0.95 else None,
            description=plot(random) if random.random() < 0.97 else None,
            rating=_rating(random),
            genre=_MOVIE_CATEGORIES[category.name],
            duration_secs=random.randint(75 * 60, 160 * 60),
            # Twins are told apart by their ids, so untidy names always have one.
            tmdb_id=str(_FIRST_TMDB_ID + number) if is_untidy(number) or random.random() < 0.8 else None,
            imdb_id=f"tt{_FIRST_MOVIE_IMDB_ID + number}" if random.random() < 0.3 else None,
            is_adult=category is providers.disabled_category,
            logo_id=self._catalogue.logo(poster, name).id if random.random() < 0.9 else None,
            custom_properties=_movie_properties(credits) if is_detailed else None,
        )
        for account in accounts:
            self._relate(movie, account, category, credits, poster, is_detailed)

    def _relate(
        self, movie: Record, account: Record, category: Record, credits: Credits, poster: str, is_detailed: bool
    ) -> None:
        stream_id = self._providers.next_stream_id(account)
        properties = {
            "basic_data": panel.movie_entry(movie, credits, stream_id, poster, category),
            "detailed_fetched": is_detailed,
        }
        if is_detailed:
            properties["detailed_info"] = panel.movie_detail(self._random, movie, credits, poster)
            properties["movie_data"] = panel.movie_data(movie, stream_id, category)
        self._catalogue.relate(
            movie,
            account,
            category,
            stream_id=stream_id,
            last_advanced_refresh=SCANNED if is_detailed else None,
            custom_properties=properties,
        )


def _movie_properties(credits: Credits) -> dict[str, Any]:
    return {"actors": credits.cast, "director": credits.director, "release_date": credits.released}


class _Series:
    """Makes series with their logos and relations, and their episodes with theirs."""

    def __init__(self, catalogue: Catalogue, providers: _Providers, random: Random) -> None:
        self._catalogue = catalogue
        self._providers = providers
        self._random = random
        self._titles = TitleList(random, SERIES_FORMS)
        self.limit = len(self._titles)

    def make(self, count: int, episodes: int) -> Iterator[str]:
        """Add series, each with its share of the episodes, yielding after each series and episode."""
        all_shares = sum(islice(cycle(_EPISODE_SHARES), count))
        shares = made = 0
        for number, share in enumerate(islice(cycle(_EPISODE_SHARES), count)):
            shares += share
            due = episodes * shares // all_shares
            series = self._add(number, is_opened=due > made)
            yield "series"
            for season, episode in _numbering(self._random, due - made):
                self._add_episode(series, season, episode)
                yield "episodes"
            made = due

    def _add(self, number: int, is_opened: bool) -> Record:
        random, providers = self._random, self._providers
        name, year = provider_name(self._titles, number)
        category = _category_for(random, name, providers.series_categories)
        accounts = [providers.retired] if number % 100 == 50 else providers.accounts_for(random)
        poster = f"https://images.example/poster/series/{number}.jpg"
        credits = Credits.invent(random, year)
        series = self._catalogue.series(
            name,
            relations=[],
            year=year if random.random() < 0.95 else None,
            description=plot(random) if random.random() < 0.97 else None,
            rating=_rating(random),
            genre=_SERIES_CATEGORIES[category.name],
            tmdb_id=str(_FIRST_TMDB_ID + number) if is_untidy(number) or random.random() < 0.8 else None,
            imdb_id=f"tt{_FIRST_SERIES_IMDB_ID + number}" if random.random() < 0.3 else None,
            logo_id=self._catalogue.logo(poster, name).id if random.random() < 0.9 else None,
            custom_properties=_series_properties(credits, poster),
        )
        for account in accounts:
            series_id = providers.next_stream_id(account)
            entry = panel.series_entry(series, credits, series_id, poster, category)
            self._catalogue.relate(
                series,
                account,
                category,
                external_series_id=series_id,
                last_episode_refresh=SCANNED if is_opened else None,
                custom_properties={"basic_data": entry, "episodes_fetched": is_opened, "detailed_fetched": is_opened},
            )
        series.started = date.fromisoformat(credits.released)
        return series

    def _add_episode(self, series: Record, season: int, number: int) -> None:
        random = self._random
        aired = series.started + timedelta(days=min(330 * season + 7 * number, 10_000))
        episode = self._catalogue.episode(
            series,
            season,
            number,
            _episode_name(random, series.name, season, number),
            relations=[],
            description=plot(random) if random.random() < 0.9 else None,
            air_date=aired.isoformat() if random.random() < 0.9 else None,
            rating=_rating(random),
            duration_secs=random.randint(20 * 60, 65 * 60),
            tmdb_id=str(_FIRST_TMDB_ID + random.randrange(10_000_000)) if random.random() < 0.3 else None,
        )
        for relation in series.relations:
            # A second relation on one account is another language or quality of the same episode.
            for _ in range(2 if random.random() < 0.05 else 1):
                self._relate(episode, relation.account)

    def _relate(self, episode: Record, account: Record) -> None:
        stream_id = self._providers.next_stream_id(account)
        info = panel.episode_entry(self._random, episode, stream_id)
        properties = {"info": info, "season_number": episode.season_number}
        self._catalogue.relate(episode, account, stream_id=stream_id, custom_properties=properties)


def _series_properties(credits: Credits, poster: str) -> dict[str, Any]:
    return {
        "cast": credits.cast,
        "director": credits.director,
        "release_date": credits.released,
        "backdrop_path": [poster.replace("poster", "backdrop")],
        "episode_run_time": "45",
    }


def _numbering(random: Random, count: int) -> Iterator[tuple[int, int]]:
    """Season and episode numbers: seasons of one length, after specials (season 0) for one series in five."""
    specials = random.randint(1, 3) if count > 10 and random.random() < 0.2 else 0
    for number in range(1, specials + 1):
        yield 0, number
    length = random.randint(6, 13)
    for number in range(count - specials):
        yield number // length + 1, number % length + 1


def _episode_name(random: Random, series: str, season: int, number: int) -> str:
    code = f"S{season:02}E{number:02}"
    match random.randrange(10):
        case 0:
            return f"Episode {number}"
        case 1:
            return code
        case 2:
            return f"{series} - {code} - {episode_title(random)}"[:255]
        case _:
            return episode_title(random)
