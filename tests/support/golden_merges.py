"""Rows as panels send them, and which of them are one title: what is in one inner list is, what is in two is not."""

from typing import NamedTuple


class Row(NamedTuple):
    """A row of the catalogue."""

    name: str
    year: int | None = None
    tmdb: str = ""
    imdb: str = ""


GROUPS: dict[str, list[list[Row]]] = {
    # Marks of panels.
    "a mark for the language": [[Row("EN - The Distant Widow (1990)"), Row("The Distant Widow", 1990)]],
    "a mark for quality and language": [[Row("4K-EN - The Distant Hill (1990)"), Row("EN - The Distant Hill (1990)")]],
    "marks in bars": [[Row("|FR| Le Veuf (1991)"), Row("┃FR┃ Le Veuf (1991)"), Row("Le Veuf", 1991)]],
    "marks in brackets": [[Row("Ember [MULTI-SUB] (2011)"), Row("[EN] Ember (2011)"), Row("Ember (2011) [4K]")]],
    "raised letters": [[Row("Ember Two ᵁᴴᴰ (2012)"), Row("Ember Two (2012)")]],
    "words behind the year": [[Row("Dune Sea (2021) - Hindi"), Row("Dune Sea (2021) VOSTFR"), Row("Dune Sea", 2021)]],
    "a service": [[Row("NF - Harbour Light (2020)"), Row("Harbour Light (2020)")]],
    "the year with a dash": [[Row("Copper - 1999"), Row("Copper (1999)"), Row("Copper", 1999)]],
    "a container at the end": [[Row("Copper Hill (1999).mkv"), Row("Copper Hill (1999)")]],
    "entities": [[Row("Tom &amp; Ann (1960)"), Row("Tom & Ann (1960)")]],
    "case": [[Row("HARBOUR NIGHT (1984)"), Row("Harbour Night (1984)")]],
    "white space": [[Row("  Harbour   Day (1984) "), Row("Harbour Day (1984)")]],
    "Unicode forms": [[Row("Caf\u00e9 Nord (1971)"), Row("Cafe\u0301 Nord (1971)")]],
    "full width": [[Row("ＧＨＯＳＴ Town (2008)"), Row("GHOST Town (2008)")]],
    # Words that make another film, or may.
    "another version": [[Row("Ember Hill (2001)")], [Row("Ember Hill Director's Cut (2001)")]],
    "extended in brackets": [[Row("Ember Vale (2001)")], [Row("Ember Vale (2001) [Extended]")]],
    "black and white": [[Row("Road of Rust (2015)")], [Row("Road of Rust Black & Chrome (2015)")]],
    "II and 2": [[Row("Rook II (1986)")], [Row("Rook 2 (1986)")]],
    "two and 2": [[Row("Rook Two (1986)")], [Row("Rook Too (1986)")]],
    "a part": [[Row("The Long Dark Part 1 (2010)")], [Row("The Long Dark Part 2 (2010)")]],
    "a number at the end": [[Row("Signal (2014)")], [Row("Signal 2 (2014)")]],
    "3D": [[Row("Step High 3D (2010)")], [Row("Step High (2010)")]],
    "an article": [[Row("The Batsman (2022)")], [Row("Batsman (2022)")]],
    "an article at the end": [[Row("Batman's Aunt, The (2022)")], [Row("The Batman's Aunt (2022)")]],
    "another article": [[Row("A Stranger (1946)")], [Row("The Stranger (1946)")]],
    "accents": [[Row("Amelie R (2001)")], [Row("Amélie R (2001)")]],
    "umlauts": [[Row("Der Mude Tod (1921)")], [Row("Der Müde Tod (1921)")], [Row("Der Muede Tod (1921)")]],
    "another alphabet": [[Row("Солярис (1972)")], [Row("Solyaris (1972)")]],
    "punctuation": [[Row("What If (2013)")], [Row("What If...? (2013)")]],
    "and": [[Row("Tom and Ann (1961)")], [Row("Tom & Ann (1961)")]],
    "a hyphen": [[Row("Spiderlad (2002)")], [Row("Spider-lad (2002)")]],
    "a subtitle": [[Row("Rook (1979)")], [Row("Rook - First Blood (1979)")]],
    "a country that belongs to the title": [[Row("The Bureau (US) (2005)")], [Row("The Bureau (2005)")]],
    "a mark that is a title": [[Row("IT (2017)")], [Row("UP (2017)")]],
    "nothing but marks": [[Row("4K", 2017)], [Row("HD", 2017)]],
    "nothing left": [[Row("???", 2003)], [Row("!!!", 2003)]],
    # Years.
    "remakes": [[Row("Psyche (1960)")], [Row("Psyche (1998)")]],
    "a year apart": [[Row("Late Show (2003)")], [Row("Late Show (2004)")]],
    "no year on one side": [[Row("Quiet Town")], [Row("Quiet Town (1987)")]],
    "no year on either": [[Row("Quiet Hill")], [Row("EN - Quiet Hill")]],
    "a year that is the title": [[Row("1917 (2019)"), Row("EN - 1917 (2019)")], [Row("1917", 1917)]],
    "a year in the title": [[Row("Runner 2049 (2017)"), Row("Runner 2049", 2017)], [Row("Runner (2049)")]],
    "the year in the column alone": [[Row("Old Mill", 1955), Row("EN - Old Mill", 1955)]],
    "a year that the column corrects": [
        [Row("New Mill (1954)", 1955), Row("New Mill (1955)")],
        [Row("New Mill", 1954)],
    ],
    # Ids.
    "the same TMDB id": [[Row("Heat Wave (1995)", tmdb="949"), Row("Canicule (1995)", tmdb="949")]],
    "the same IMDb id": [[Row("Heat Dome (1995)", imdb="tt0113277"), Row("Canicule 2 (1995)", imdb="tt0113277")]],
    "an id in the name": [[Row("Heat Sink (1995) [tmdbid-951]"), Row("Le Puits (1995)", tmdb="951")]],
    "the id outweighs the year": [[Row("Ash (1950)", tmdb="60"), Row("Ash (1951)", tmdb="60"), Row("Ash", tmdb="60")]],
    "remakes of one name in one year": [[Row("Crusoe (1997)", tmdb="1")], [Row("Crusoe (1997)", tmdb="2")]],
    "the same in IMDb": [[Row("Crusoe B (1997)", imdb="tt0000001")], [Row("Crusoe B (1997)", imdb="tt0000002")]],
    "one id, one without": [[Row("Fern (2009)", tmdb="71"), Row("EN - Fern (2009)"), Row("4K | Fern", 2009)]],
    "two ids, one without": [
        [Row("Moss (2009)", tmdb="72")],
        [Row("Moss (2009)", tmdb="73")],
        [Row("EN - Moss (2009)")],
    ],
    "two ids, two without": [
        [Row("Reed (2009)", tmdb="74")],
        [Row("Reed (2009)", tmdb="75")],
        [Row("EN - Reed (2009)"), Row("FR - Reed (2009)")],
    ],
    "a third row does not join": [
        [Row("Sedge (2009)", tmdb="76", imdb="tt0000076")],
        [Row("Sedge (2009)", tmdb="77", imdb="tt0000077")],
        [Row("Sedge", 2009)],
    ],
    "ids of two kinds": [[Row("Rush (2013)", tmdb="78")], [Row("Rush (2013)", imdb="tt0000078")]],
    "both ids, and each alone": [
        [Row("Flag (2013)", tmdb="79", imdb="tt0000079"), Row("Drapeau", tmdb="79"), Row("Flagge", imdb="tt0000079")],
    ],
    "one IMDb id of two films": [
        [Row("Iris (2013)", tmdb="80", imdb="tt0000080")],
        [Row("Lily (2013)", tmdb="81", imdb="tt0000080")],
        [Row("Bloom (2013)", imdb="tt0000080")],
    ],
    "one TMDB id and two of IMDb": [
        [Row("Oak (2013)", tmdb="82", imdb="tt0000082")],
        [Row("Oak (2013)", tmdb="82", imdb="tt0000083")],
        [Row("Elm (2013)", tmdb="82")],
    ],
    "an id of nothing": [[Row("Birch (2014)", tmdb="0"), Row("Birch (2014) [HD]", imdb="N/A")]],
    "by its other name": [
        [Row("Ash Tree (2014)", tmdb="84"), Row("Frêne (2014)", tmdb="84"), Row("FR - Frêne (2014)")]
    ],
}
assert len(GROUPS) == 60
