"""Invented titles, people and plots, and what panels make of titles."""

from collections.abc import Sequence
from random import Random

ADJECTIVES = """
    Amber Ancient Autumn Bitter Black Blue Borrowed Brave Bright Broken Burning Careless Clever Cold Copper Counted
    Crimson Crooked Curious Daring Dark Deep Distant Divided Drifting Early Eastern Electric Emerald Empty Endless
    Faithful Fallen Famous Fearless Final First Floating Forgotten Fragile Frozen Gentle Gilded Glass Golden Grand
    Green Guarded Hidden Hollow Honest Hungry Idle Invisible Iron Ivory Jealous Last Late Lonely Long Lost Lucky
    Lunar Midnight Missing Modern Narrow Nameless Northern Old Open Painted Pale Paper Patient Perfect Private
    Quiet Rare Reckless Red Restless Rising Rough Ruined Sacred Salt Scarlet Second Secret Seventh Shallow Silent
    Silver Slow Sleeping Solemn Southern Stolen Strange Stubborn Summer Sunken Tangled Tender Thirteenth Twisted
    Unspoken Velvet Vanishing Violet Wandering Warm Western White Wild Winter Wooden Woven
""".split()

NOUNS = """
    Accountant Actress Almanac Anchor Apprentice Archive Astronomer Atlas Baker Balcony Ballad Bargain Beekeeper
    Bell Bicycle Boatman Bookshop Bridge Captain Caravan Carousel Cartographer Cathedral Cellist Chessboard Chimney
    Choir Clockmaker Compass Confession Corridor Courier Cradle Dancer Daughter Detective Diary Doctor Dragonfly
    Echo Empire Engine Evening Falcon Farewell Ferry Festival Fiddler Fisherman Fortune Fox Garden Gardener Glacier
    Governor Guest Harbour Harvest Heir Heron Horizon Hotel Hunter Illusion Inheritance Interpreter Island Jeweller
    Journey Judge Keeper Kingdom Lake Lantern Letter Library Lighthouse Locksmith Magician Mapmaker Market
    Masquerade Meadow Messenger Mirror Monsoon Museum Musician Neighbour Nurse Oath Observatory Orchard Orchestra
    Painter Passenger Photograph Pianist Pilgrim Pilot Playwright Postcard Promise Prophet Puppeteer Quarry Raven
    Reunion River Sailor Sculptor Shepherd Signal Station Stranger Swimmer Tailor Theatre Tide Tower
""".split()

PLACES = """
    Aldermoor Amberley Ashcombe Askerdale Avenmouth Balmoor Barrowfield Beckhollow Belmarsh Birchwater Blackmere
    Bramhope Brackenfell Briarwood Calderwick Candlewick Carrowmore Castlemere Cedarbay Chalkwell Clearwater
    Coldbrook Corbridge Cranmoor Crosswind Dalewater Dapplewood Deepdale Drumlin Dunmarrow Eastmere Edgewater
    Elderfield Ellenwick Elmsworth Fairholm Farrowdale Fenwater Fernhollow Foxgrove Fulmar Garrowby Glasswater
    Glenmarrow Goldacre Grayhaven Greywater Hallowmere Harrowgate Hartsmere Hawkmoor Hazelbrook Heatherfell
    Highmoor Hollowbrook Ironbridge Islemoor Juniperhill Kelderby Kestrelbay Kingsmarrow Kirkwater Lambswick
    Larkhill Leafield Lindmoor Longwater Lowmere Marlock Marrowbay Mellowdale Merebank Millhaven Moorgate Mossbank
    Netherby Newmarrow Nightingale Northmere Oakhollow Orrinmouth Otterbourne Pebblesea Penmarrow Pinefall
    Quarrybank Quillmouth Ravenscar Redwater Rivermead Rookhope Rosemoor Rowanfield Saltmarsh Sandmere Seabright
    Shalewater Silverdale Skerryvoe Southmere Stonehaven Stormgate Sunderfell Swallowfield Tarnside Thistledown
    Thornbury Tidewater Umberfield Valemoor Wakeby Westmarrow Whitecliff Willowmere Windermoor Winterbourne
    Wolfsbridge Wrenfield Yarrowby Zephyrpoint
""".split()

_FIRST_NAMES = """
    Ada Amir Anneke Astrid Benedikt Bruno Carmen Cleo Dario Edda Elias Esme Farah Felix Greta Hanno Ines Ivo Jonas
    Juno Kaito Klara Leif Lena Luca Maren Mateo Mina Nadia Nils Olga Oskar Petra Quentin Rafael Rosa Samir Selma
    Tariq Thea Ulrich Vera Viktor Wanda Xenia Yara Yusuf Zoe
""".split()
_LAST_NAMES = """
    Aldane Arkwell Barrowe Bellandi Brightsea Calloway-Reed Castellan Dorval Drummel Eskildsen Fairweather Ferrante
    Galloway Grimsby Halvorsen Hartigan Iversen Jarnefelt Kestering Kovalik Lindqvist Lomax Marchetti Mortlake
    Nakagawa Norling Okonjo Ostrander Pellwick Quillon Rademaker Ravenholt Sandoval Silvertree Thorsby Tremaine
    Ullman Vantongeren Vasquez-Lund Wetherell Winterhalter Yamazato Zielinska
""".split()

Form = tuple[str, Sequence[str], Sequence[str]]
"""A pattern with two gaps, and the words for each."""

MOVIE_FORMS: Sequence[Form] = (
    ("The {} {}", ADJECTIVES, NOUNS),
    ("{} {}", ADJECTIVES, NOUNS),
    ("The {} of {}", NOUNS, PLACES),
    ("Beyond the {} {}", ADJECTIVES, NOUNS),
    ("The Last {} in {}", NOUNS, PLACES),
    ("{} Nights in {}", ADJECTIVES, PLACES),
    ("The {} from {}", NOUNS, PLACES),
    ("The {} Road to {}", ADJECTIVES, PLACES),
)
SERIES_FORMS: Sequence[Form] = (
    ("{} {}", ADJECTIVES, PLACES),
    ("The {} {}", PLACES, NOUNS),
    ("{} {} Stories", ADJECTIVES, NOUNS),
    ("A Year in {} {}", ADJECTIVES, PLACES),
)
_EPISODE_FORMS: Sequence[Form] = (
    *MOVIE_FORMS,
    ("One {} Too Many for {}", NOUNS, PLACES),
    ("What the {} {} Knew", ADJECTIVES, NOUNS),
    ("{} {} by Night", ADJECTIVES, PLACES),
)

_WORDS = 120
_YEARS = range(1974, 2026)


class TitleList:
    """Titles with their years, by number from 0: no title comes twice in the first 100,000, no title with the same
    year ever.

    Args:
        random: decides the order.
        forms: the forms of the titles, which take turns.
    """

    def __init__(self, random: Random, forms: Sequence[Form]) -> None:
        self._forms = forms
        self._first = random.sample(range(_WORDS), _WORDS)
        self._second = random.sample(range(_WORDS), _WORDS)
        self._years = random.sample(_YEARS, len(_YEARS))

    def __len__(self) -> int:
        return _WORDS * _WORDS * len(self._forms) * len(_YEARS)

    def __getitem__(self, number: int) -> tuple[str, int]:
        # The number's digits in a mixed radix. Adding the lower digits to the higher ones keeps the mapping one
        # to one, and makes neighbours differ in everything.
        rest, first = divmod(number, _WORDS)
        rest, row = divmod(rest, _WORDS)
        rest, turn = divmod(rest, len(self._forms))
        second = (first + row) % _WORDS
        form, firsts, seconds = self._forms[(first + row + turn) % len(self._forms)]
        year = self._years[(7 * first + 11 * row + rest) % len(_YEARS)]
        return form.format(firsts[self._first[first]], seconds[self._second[second]]), year


_DECORATIONS = {3: "EN - {title}", 7: "4K-EN - {title}", 11: "|FR| {title}", 14: "{title} ({year})"}
_UNTIDY_EVERY = 50
_UNTIDY = (
    "{title}: Part Two",
    "{title} / {previous}",
    "{title} 🎬",
    "{title} - ليلة طويلة",
    "{previous}",
    "{shouted}",
    "{title}...",
    "..",
    "{title}" + " and the Long Way Home from the Edge of the Harbour" * 5,
    "  {title} ",
    'The "{title}" <Uncut> *?|',
    "Cafe\u0301 {title}",
)


def is_untidy(number: int) -> bool:
    """Whether `provider_name` gives this number a name that is hard on a file system."""
    return number % _UNTIDY_EVERY == _UNTIDY_EVERY - 1


def provider_name(titles: TitleList, number: int) -> tuple[str, int]:
    """The name that a panel sends for a title, and its year.

    One name in four carries a language, quality or year. One in fifty is untidy: among them are a name of 255
    characters (all that the column takes), `..`, and twins of the number before, exact or in capitals.
    """
    title, year = titles[number]
    if not is_untidy(number):
        return _DECORATIONS.get(number % 17, "{title}").format(title=title, year=year), year
    previous, year = provider_name(titles, number - 1)
    untidy = _UNTIDY[number // _UNTIDY_EVERY % len(_UNTIDY)]
    return untidy.format(title=title, previous=previous, shouted=previous.upper())[:255], year


def episode_title(random: Random) -> str:
    """A title of an episode."""
    form, firsts, seconds = random.choice(_EPISODE_FORMS)
    return form.format(random.choice(firsts), random.choice(seconds))


def person(random: Random) -> str:
    """A first and a last name."""
    return f"{random.choice(_FIRST_NAMES)} {random.choice(_LAST_NAMES)}"


_PLOT_OPENINGS = (
    "When the {noun} of {place} disappears, {person} has one night to find out why.",
    "{person} comes home to {place} after twenty years and finds the {adjective} house locked from inside.",
    "In the last winter of a harbour town, {person} inherits a debt that nobody in {place} will talk about.",
    "Nobody in {place} can say where the {noun} came from, and only {person} is not surprised.",
    "{person} and {other} have not spoken since the summer in {place}; now they share the last train south.",
)
_PLOT_MIDDLES = (
    "What begins as a favour soon turns into a search through {adjective} streets and older promises.",
    "Every answer leads back to {other}, who remembers a rather different story of what happened.",
    "Between the market and the old mill lies a secret that the whole of {place} has agreed to keep.",
    "One letter, two photographs and the {adjective} {noun} are all there is to go by.",
    "The closer they come to the truth, the less {person} wants to hear it.",
    "Then {other} makes an offer that is hard to refuse and harder to survive.",
    "Help arrives from an unlikely side: the {noun}, a stubborn dog and a borrowed boat.",
)


def plot(random: Random) -> str:
    """A description of 200 to 600 characters."""
    sentences = [random.choice(_PLOT_OPENINGS), *random.sample(_PLOT_MIDDLES, random.randint(2, 4))]
    return " ".join(sentences).format(
        person=person(random),
        other=person(random),
        place=random.choice(PLACES),
        noun=random.choice(NOUNS).lower(),
        adjective=random.choice(ADJECTIVES).lower(),
    )
