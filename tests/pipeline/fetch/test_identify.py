"""Which identifier a piece of text is, and the file names that are made of texts."""

from __future__ import annotations

import re

import pytest

from paperlora.pipeline.fetch.identify import address_slug, identify, slug, unique


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("1706.03762", "arxiv", "1706.03762"),
        (" arXiv:1706.03762v2 ", "arxiv", "1706.03762v2"),
        ("https://arxiv.org/abs/1706.03762v5", "arxiv", "1706.03762v5"),
        ("http://www.arxiv.org/pdf/1706.03762.pdf", "arxiv", "1706.03762"),
        ("https://export.arxiv.org/pdf/hep-th/9901001v1?x=1", "arxiv", "hep-th/9901001v1"),
        ("math.GT/0309136", "arxiv", "math.GT/0309136"),
        ("10.48550/arXiv.1703.06870", "arxiv", "1703.06870"),
        ("https://doi.org/10.48550/arXiv.math.GT/0309136", "arxiv", "math.GT/0309136"),
        ("doi:10.1038/Nature14539", "doi", "10.1038/nature14539"),
        ("https://doi.org/10.1016%2Fj.x", "doi", "10.1016/j.x"),
        ("https://dx.doi.org/10.1002/(SICI)1097-0258", "doi", "10.1002/(sici)1097-0258"),
        ("https://example.org/a.pdf?token=1", "url", "https://example.org/a.pdf?token=1"),
        ("https://arxiv.org/list/cs.CL", "url", "https://arxiv.org/list/cs.CL"),
        ("https://notarxiv.org/abs/1706.03762", "url", "https://notarxiv.org/abs/1706.03762"),
    ],
)
def test_identify(text: str, key: str, value: str) -> None:
    assert identify(text) == (key, value)


@pytest.mark.parametrize("text", ["", "a title", "1706.037", "10.1038", "file:///etc/passwd"])
def test_what_is_not_an_identifier(text: str) -> None:
    assert identify(text) is None


def test_a_name_can_always_be_a_file_name() -> None:
    texts = ["He et al. - 2018 - Mask R-CNN", "深度学习", "..", "", "É/ü", "x" * 300, "a\udcff"]
    names = [slug(text) for text in texts]
    assert names[0] == "he-et-al-2018-mask-r-cnn"
    assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name) and len(name) <= 100 for name in names)
    assert slug("深度学习") != slug("学习深度")


def test_the_name_of_an_address_is_its_last_part() -> None:
    assert address_slug("https://proceedings.mlr.press/v97/tan19a/tan19a.pdf?x=1") == "tan19a"
    one, two = (address_slug(f"https://openreview.net/pdf?id={letter}") for letter in "ab")
    assert one != two
    assert one.startswith("openreview-net-")


def test_unique_names() -> None:
    assert unique(["a", "a", "a-2", "b"]) == ["a", "a-2", "a-2-2", "b"]
    long = unique(["x" * 100, "x" * 100])
    assert len(set(long)) == 2
    assert max(map(len, long)) == 100
