from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
import synthetic_run as synthetic

from paperlora.pipeline.report import page, report

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG not really"
PICTURES = {
    f"{name}.png": PNG for name in ("words", "wordclouds", "loss", "accuracy", "memory", "adapter")
}


class Reader(HTMLParser):
    """Collects tags, addresses and text as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def html(run: Path, files: dict[str, Any]) -> str:
    return page.render(report.assemble(synthetic.write(run, files)), PICTURES)


def test_hostile_text_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    read = Reader(html(tmp_path / "demo", synthetic.nasty_files()))
    assert "script" not in read.tags
    # prompt, reference, tuned (20 times), rejected file and reason, setting, and a paper's name
    assert read.text.count(synthetic.HOSTILE) >= 25


def test_the_check_for_scripts_can_fail() -> None:
    assert "script" in Reader(f"<p>{synthetic.HOSTILE}</p>").tags


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    text = html(tmp_path / "demo", synthetic.good_files())
    read = Reader(text)
    assert not {"script", "link", "iframe", "object"} & set(read.tags)
    assert read.tags.count("img") == 6
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in read.addresses)
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text


def test_the_page_says_all_that_it_must(tmp_path: Path) -> None:
    text = Reader(html(tmp_path / "demo", synthetic.good_files())).text
    for said in (
        "fell from 23.1 to 17.4",
        "21.9 to 48.9\u00a0%",
        "not a PDF: starts with '<!DOC'",
        "the first sentence of the passage",
        "env/nox -s train eval -- --run runs/demo",
        'env/nox -s infer -- --run runs/demo "question"',
        "Verified: every package has",
        "3f" * 32,
        "train.learning_rate",
        "scaled-dot-product-attention",
    ):
        assert said in text, said


def test_an_unverified_environment_is_called_out(tmp_path: Path) -> None:
    files = synthetic.good_files()
    warning = "environment that was not verified"
    assert warning not in html(tmp_path / "demo", files)
    files["environment.json"] = synthetic.environment(verified=False)
    shouted = html(tmp_path / "demo", files)
    assert warning in shouted
    assert "numpy: 2.1.0 installed, 2.0.2 locked" in shouted
    files["environment.json"] |= {"verified": True}
    assert warning in html(tmp_path / "demo", files), "findings alone are enough"


def test_test_samples_come_first_and_the_rest_is_folded(tmp_path: Path) -> None:
    files = synthetic.good_files()
    samples = [synthetic.sample(i, prompt=f"<q{i}>") for i in range(6)]
    text = html(tmp_path, files | {"eval.json": synthetic.evaluation(samples=samples)})
    order = sorted(range(6), key=lambda i: text.index(f"&lt;q{i}&gt;"))
    assert order == [0, 3, 1, 4, 2, 5]
    assert "3 more" in text
    none = html(tmp_path, files | {"eval.json": synthetic.evaluation(samples=[])})
    assert "No sample answers were kept" in none


def test_tiles_do_not_invent_a_gpu(tmp_path: Path) -> None:
    for gpu, label in ((True, "Peak GPU memory"), (False, "Peak host memory")):
        files = synthetic.good_files(gpu=gpu)
        shown = page.tiles(report.assemble(synthetic.write(tmp_path, files)))
        assert label in [tile.label for tile in shown]


def test_flatten_writes_dotted_keys() -> None:
    rows = dict(page.flatten({"a": {"b": [1, "é"], "c": {}}, "d": None, "e": "x"}))
    assert rows == {"a.b": '[1, "é"]', "a.c": "{}", "d": "null", "e": "x"}


def test_a_name_that_the_shell_would_read_is_quoted(tmp_path: Path) -> None:
    text = Reader(html(tmp_path / "my run; rm", synthetic.good_files())).text
    assert "--run 'runs/my run; rm'" in text


def test_a_missing_picture_is_an_error_and_not_a_hole(tmp_path: Path) -> None:
    content = report.assemble(synthetic.write(tmp_path, synthetic.good_files()))
    with pytest.raises(jinja2.UndefinedError):
        page.render(content, {})
