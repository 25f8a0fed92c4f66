"""What reference managers export: BibTeX and CSL JSON, as Zotero and others write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from paperlora.errors import InputError
from paperlora.pipeline.fetch.bibliography import Reference, bibtex, csl

HOME = Path("/library")
ZOTERO = r"""
@article{he_mask_2018,
	title = {Mask {R}-{CNN}: {\'E}tudes \& more},
	url = {http://arxiv.org/abs/1703.06870},
	doi = {10.48550/arXiv.1703.06870},
	abstract = {We present 50\% {of}},
	urldate = {2024-01-01},
	author = {He, Kaiming and Doll{\'a}r, Piotr and {Meta AI}},
	month = jan,
	year = {2018},
	note = {arXiv:1703.06870 [cs]},
	file = {arXiv Fulltext PDF:files/12/He et al. - 2018 - Mask R-CNN.pdf:application/pdf;Snapshot:files/13/1703.html:text/html},
}
"""  # noqa: E501


def _one(text: str) -> Reference:
    references, problems = bibtex(text, HOME)
    assert problems == []
    [reference] = references
    return reference


def test_an_entry_of_zotero() -> None:
    assert _one(ZOTERO) == Reference(
        key="he_mask_2018",
        title="Mask R-CNN: Études & more",
        authors=("Kaiming He", "Piotr Dollár", "Meta AI"),
        year=2018,
        ids=(("arxiv", "1703.06870"),),
        files=(HOME / "files/12/He et al. - 2018 - Mask R-CNN.pdf",),
    )


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ("eprint = {1703.06870v3}, archiveprefix = {arXiv}", [("arxiv", "1703.06870v3")]),
        ("eprint = {hep-th/9901001}, eprinttype = {arxiv}", [("arxiv", "hep-th/9901001")]),
        ("journal = {arXiv preprint arXiv:1703.06870}", [("arxiv", "1703.06870")]),
        (
            "doi = {10.1109/ICCV.2017.322}, url = {https://example.org/a\\_b.pdf}, note = {arXiv:1703.06870}",
            [
                ("arxiv", "1703.06870"),
                ("doi", "10.1109/iccv.2017.322"),
                ("url", "https://example.org/a_b.pdf"),
            ],
        ),
        ("howpublished = {\\url{https://example.org/a}}", [("url", "https://example.org/a")]),
        ("eprint = {12345}, eprinttype = {jstor}", []),
        ("year = {1999}", []),
    ],
)
def test_identifiers(fields: str, ids: list[tuple[str, str]]) -> None:
    assert list(_one(f"@misc{{a, title = {{A}}, {fields}}}").ids) == ids


@pytest.mark.parametrize(
    ("field", "files"),
    [
        ("files/1/a.pdf", ["files/1/a.pdf"]),
        (r"PDF:C\:\\Users\\me\\a.pdf:application/pdf", [r"C:\Users\me\a.pdf"]),
        (r"a\;b.pdf:files/1/a\;b.pdf:application/pdf", ["files/1/a;b.pdf"]),
        ("/x/a.pdf;/x/b.PDF", ["/x/a.pdf", "/x/b.PDF"]),
        (":files/no-ending:application/pdf", ["files/no-ending"]),
        ("page.html:files/1/page.html:text/html", []),
        ("", []),
    ],
)
def test_attachments(field: str, files: list[str]) -> None:
    found = _one(f"@misc{{a, title = {{A}}, file = {{{field}}}}}").files
    assert found == tuple(HOME / name for name in files)


@pytest.mark.parametrize(
    ("title", "read"), [(r"a \\", r"a \\"), ("{" * 90 + "a" + "}" * 90, "a"), ("$x^2$", "$x^2$")]
)
def test_latex_that_cannot_be_read_costs_no_entry(title: str, read: str) -> None:
    one = _one(f"@misc{{a, title = {{{title}}}, doi = {{10.1038/x}}}}")
    assert (one.title, one.ids) == (read, (("doi", "10.1038/x"),))


@pytest.mark.parametrize("title", [r"\textbf{open", "{" * 3000 + "a" + "}" * 3000], ids=len)
def test_braces_without_an_end_are_named(title: str) -> None:
    [one], [problem] = bibtex(f"@misc{{a, title = {{{title}}}, doi = {{10.1038/x}}}}", HOME)
    assert (one.key, one.ids) == ("a", ())
    assert "line 1" in problem


def test_problems_are_named_and_what_can_be_read_is_read() -> None:
    text = (
        ZOTERO
        + "@misc{he_mask_2018, title = {Twice}}\n@misc{b, title = {B}}\n@misc{c, title = {open"
    )
    references, problems = bibtex(text, HOME)
    assert [one.key for one in references] == ["he_mask_2018", "b", "c"]
    assert any("repeated" in problem for problem in problems)
    assert any("end of file" in problem for problem in problems)


ITEM = {
    "id": "http://zotero.org/users/1/items/ABCD",
    "type": "article",
    "citation-key": "heMask2018",
    "title": "Mask <i>R-CNN</i> and Other Models of Objects",
    "number": "arXiv:1703.06870",
    "DOI": "10.1109/ICCV.2017.322",
    "URL": "http://arxiv.org/abs/1703.06870",
    "author": [{"family": "He", "given": "Kaiming"}, {"literal": "Meta AI"}],
    "issued": {"date-parts": [["2018", 1, 24]]},
}


def test_csl_and_its_files() -> None:
    pdfs = [
        HOME / "files/1/He et al. - 2018 - Mask R-CNN and Other Models.pdf",  # Zotero cuts titles
        HOME / "files/2/Mask R-CNN and Other Models of Objects.pdf",
        HOME / "files/3/Mask.pdf",  # too short to tell
        HOME / "files/4/Lin - 2018 - Feature Pyramid Networks.pdf",
    ]
    [reference], remarks = csl([ITEM], pdfs)
    assert reference == Reference(
        key="heMask2018",
        title="Mask R-CNN and Other Models of Objects",
        authors=("Kaiming He", "Meta AI"),
        year=2018,
        ids=(("arxiv", "1703.06870"), ("doi", "10.1109/iccv.2017.322")),
        files=tuple(pdfs[:2]),
    )
    assert remarks == [
        "Mask.pdf belongs to no entry by its name",
        "Lin - 2018 - Feature Pyramid Networks.pdf belongs to no entry by its name",
    ]


@pytest.mark.parametrize("item", [3, {"author": 3}, {"title": "a", "issued": {"date-parts": "x"}}])
def test_what_is_not_csl(item: object) -> None:
    with pytest.raises(InputError, match=r"entry 2 is not an item of CSL JSON"):
        csl([ITEM, item], [])
