"""The made-up papers show what their truth says, and the comparison finds each kind of damage."""

import comparison
import layouts
import pypdfium2
import pytest
import readers

from paperlora.pipeline.parse.quality import word_list

PAPERS = {paper.name: paper for paper in layouts.every()}


@pytest.fixture(params=PAPERS)
def paper(request):
    return PAPERS[request.param]


def plain(paper):
    """Return PDFium's text of all pages, with its line ends joined."""
    pages = pypdfium2.PdfDocument(paper.pdf)
    text = "\f".join(page.get_textpage().get_text_range() for page in pages)
    return " ".join(readers.blocks(text.replace("\ufffe", "\ufffe\n"), word_list()))


def test_the_file_shows_the_truth(paper):
    text = plain(paper)
    for part in [paper.title, *paper.authors, *paper.headings]:
        assert part.lower() in text.lower()
    # A line number, a footnote or the end of a page breaks the sequences around it.
    least = {"line-numbers-1": 0.7, "line-numbers-5": 0.9}.get(paper.name, 0.95)
    shown = comparison.compare([text], comparison.reference(paper.prose), word_list())
    assert shown.recall > least
    assert shown.torn[1] == shown.glued[1] == 0
    rest = [*paper.captions, *paper.footnotes, *paper.references]
    if rest:
        assert comparison.compare([text], comparison.reference(rest), word_list()).recall > least


def test_each_layout_has_what_it_is_made_for():
    sizes = {name: pypdfium2.PdfDocument(paper.pdf)[0].get_size() for name, paper in PAPERS.items()}
    assert [name for name, (wide, high) in sizes.items() if wide > high] == ["slides"]
    assert len(PAPERS["footnotes"].footnotes) > 10
    assert PAPERS["methods-last"].headings[-4] == "Methods"
    assert [len(PAPERS["two-columns"].captions), len(PAPERS["one-column"].captions)] == [2, 0]
    assert b"Tw (" not in PAPERS["one-column"].pdf  # spaces are moves
    assert b"Tw (" in PAPERS["contents"].pdf
    assert plain(PAPERS["contents"]).count(". . . .") > 9
    every_line, every_fifth = (plain(PAPERS[f"line-numbers-{n}"]) for n in (1, 5))
    assert " 37 " in every_line
    assert " 37 " not in every_fifth


def test_equal_seeds_make_equal_files():
    assert layouts.footnotes(6).pdf == PAPERS["footnotes"].pdf
    assert layouts.footnotes(7).pdf != PAPERS["footnotes"].pdf


PROSE = ["The river carries cold water into the garden of the village."]


def compared(text):
    return comparison.compare([text], comparison.reference(PROSE), word_list())


def test_the_same_text_has_no_fault():
    same = compared(PROSE[0])
    assert (same.recall, same.precision, same.foreign) == (1, 1, 0)
    assert (same.glued, same.torn) == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("text", "figure", "value"),
    [
        ("The rivercarries cold water into the garden of the village.", "glued", (1, 1)),
        ("The river carries coldwater into the garden of the village.", "glued", (1, 1)),
        ("The river carries cold water intothe garden of the village.", "glued", (0, 1)),
        ("The river carries cold water into the gar den of the village.", "torn", (0, 1)),
        ("The river carries cold water into the garden of the vil lage.", "torn", (1, 1)),
        ("The river carries water cold into the garden of the village.", "foreign", 1),
    ],
)
def test_damage_moves_its_figure(text, figure, value):
    assert getattr(compared(text), figure) == value
    assert compared(text).recall < 1
    assert compared(text).precision < 1


def test_a_footnote_may_be_there_or_not():
    wanted = comparison.reference(PROSE, optional=["Nobody has seen this water before the winter."])
    text = [*PROSE, "Nobody has seen this water before the winter."]
    assert comparison.compare(text, wanted, word_list()).precision == 1
    assert comparison.compare(PROSE, wanted, word_list()).recall == 1
    assert compared(" ".join(text)).precision < 1


def test_headings_are_compared_without_numbers_and_tags():
    wanted = ["Results", "Results of the Second Trial", "Method"]
    found = ["2 Results High Leverage", "IV. Results of the Second Trial", "Fig. 3", "Training"]
    assert comparison.headings_found(wanted, ["Training"], found) == (2, 1)
    assert comparison.headings_found(wanted, [], []) == (0, 0)


def test_prose_is_without_tables_and_references():
    long = "The river carries cold water into the garden of the village in the winter."
    blocks = [
        "12 0.3 0.7 18 22 41 0.9 33 51 12 8 7",
        long,
        "References",
        f"[1] {long}",
        "Appendix A",
        long,
    ]
    assert comparison.prose_of(blocks, word_list()) == [long, long]


def test_a_cut_word_is_joined_and_a_compound_is_not():
    known = word_list()
    assert readers.blocks("a ther-\nmometer", known) == ["a thermometer"]
    assert readers.blocks("a river-\nvillage", known) == ["a river-village"]
    assert readers.blocks("one\n\ntwo\fthree", known) == ["one", "two", "three"]


def test_a_missing_reader_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "poppler-utils" in readers.missing()["poppler"]
