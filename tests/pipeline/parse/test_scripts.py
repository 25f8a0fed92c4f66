"""Powers, indices, small fractions and the marks of notes, by the place and size of their letters."""

import pytest

from paperlora.pipeline.parse import radicals, scripts
from paperlora.pipeline.parse.objects import Bar, Font, Piece

ROMAN = Font(name="CMR10", bold=False, italic=False, math=False, large=False)
MATH = Font(name="CMMI10", bold=False, italic=True, math=True, large=False)
UP, DOWN = 3.7, -3.5


def line(*parts: tuple[str, float, float] | str) -> list[Piece]:
    """Return pieces; a word stands 3.3 points behind the last one, a tuple has text, gap, height.

    A text in dollars is in a font for formulas; letters off the baseline are smaller.
    """
    pieces, x = [], 0.0
    for part in parts:
        text, gap, height = (part, 3.3, 0.0) if isinstance(part, str) else part
        font = MATH if text.startswith("$") else ROMAN
        text = text.strip("$")
        size = 7.0 if height else 10.0
        x += gap
        width = 0.5 * size * len(text)
        pieces.append(
            Piece(
                text=text, x0=x, x1=x + width, y=100 + height, size=size, font=font, spaced=gap > 3
            )
        )
        x += width
    return pieces


def stacked(upper: str, lower: str, gap: float) -> list[tuple[str, float, float]]:
    """Return a raised text with a lowered one below it."""
    return [(upper, gap, UP), (lower, -3.5 * len(upper), DOWN)]


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        (["about", ("10", 3.3, 0.0), ("20", 0.1, UP), "things"], "about 10^20 things"),
        (["as", "others", ("1", 0.1, UP), "found"], "as others found"),
        (["as", "others", ("1", 0.1, UP), (",", 0.0, UP), ("2", 0.0, UP), "found"], "as others found"),
        (["on", "May", "5", ("th", 0.1, UP), "he"], "on May 5th he"),
        (["is", "(1", ("$−$", 2.0, 0.0), ("$t$", 2.0, 0.0), (")", 0.0, 0.0), ("2", 0.1, UP)], "is (1 − t)^2"),
        (["it", "(see", "there)", ("2", 0.1, UP), "was"], "it (see there) was"),
        (["cost", ("$CNo$", 3.3, 0.0), ("2", 0.1, UP), (".", 0.5, 0.0)], "cost CNo^2."),
        (["exceed", *stacked("3", "7", 4.5), (",", 1.2, 0.0), "and"], "exceed 3/7, and"),
        (["with", "4", *stacked("1", "2", 1.2), "hours"], "with 4 1/2 hours"),
        (["the", ("$x$", 3.3, 0.0), *stacked("2", "i", 0.1), "is"], "the x^2_i is"),
        (["and", *stacked("14", "6", 4.5), ("C", 0.1, 0.0), "is"], "and ^14_6C is"),
        (["of", "2", ("$L$", 0.1, UP), ("−", 0.0, UP), ("1", 0.0, UP), "is"], "of 2^(L−1) is"),
        (["of", "10", ("−3", 0.1, UP), "is"], "of 10^−3 is"),
        (["and", "SO", ("4", 0.1, DOWN), ("2−", 0.1, UP), "is"], "and SO_4^2− is"),
        (["the", ("$e$", 3.3, 0.0), *[(one, 0.1, UP) for one in ("0", ".", "2", "×", "5")]], "the e^(0.2×5)"),
    ],
)  # fmt: skip
def test_scripts(parts, wanted):
    assert scripts.text(line(*parts), 100.0, 10.0) == wanted


@pytest.mark.parametrize(
    ("below", "wanted"),
    [(["$2/π$"], "√(2/π) is"), (["$2$"], "√2 is"), (["$d$", ("h", 0.1, DOWN)], "√d_h is")],
)
def test_a_root_ends_where_its_bar_ends(below, wanted):
    pieces = line(
        ("$√$", 0.0, 0.0), *[(one, 0.1, 0.0) if isinstance(one, str) else one for one in below]
    )
    bar = Bar(x0=pieces[0].x1, x1=pieces[-1].x1 + 0.5, y=110.0)
    after = line("is")[0]
    pieces.append(after._replace(x0=bar.x1 + 3.3, x1=bar.x1 + 10))
    assert scripts.text(radicals.with_brackets(pieces, [bar]), 100.0, 10.0) == wanted
    elsewhere = bar._replace(x0=bar.x0 + 20, x1=bar.x1 + 20)
    assert "(" not in scripts.text(radicals.with_brackets(pieces, [elsewhere]), 100.0, 10.0)


def test_a_full_stop_behind_a_root_is_not_under_its_bar():
    pieces = line(("$√$", 0.0, 0.0), ("$L$", 0.1, 0.0), ("$/3.$", 0.1, 0.0))
    bar = Bar(x0=pieces[0].x1, x1=pieces[-1].x1 - 3, y=110.0)
    assert scripts.text(radicals.with_brackets(pieces, [bar]), 100.0, 10.0) == "√(L/3)."
