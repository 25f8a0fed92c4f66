from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import synthetic_run as synthetic

from paperlora.pipeline.report import card, report

if TYPE_CHECKING:
    from pathlib import Path


def text(run: Path, files: dict[str, Any] | None = None, **model: str) -> str:
    content = report.assemble(synthetic.write(run, files or synthetic.good_files()))
    content["model"] |= model
    return card.render(content)


def head(markdown: str) -> dict[str, str]:
    """Return the front matter's keys and their text."""
    opening, front, _ = markdown.split("---\n", 2)
    assert not opening
    return dict(line.split(": ", 1) for line in front.splitlines())


def test_front_matter(tmp_path: Path) -> None:
    fields = head(text(tmp_path))
    assert fields["library_name"] == "peft"
    assert fields["license"] == "apache-2.0"
    assert json.loads(fields["base_model"]) == "smollm2-135m-instruct"
    known = head(text(tmp_path, repository="HuggingFaceTB/SmolLM2-135M-Instruct"))
    assert json.loads(known["base_model"]) == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_nothing_breaks_out_of_the_front_matter(tmp_path: Path) -> None:
    fields = head(text(tmp_path, id='x"\n---\nevil: 1', licence="Own\nlicence: 2"))
    assert json.loads(fields["base_model"]) == 'x"\n---\nevil: 1'
    assert fields["license"] == "other"
    assert json.loads(fields["license_name"]) == "Own\nlicence: 2"
    assert "evil" not in fields


def test_the_code_to_load_it_compiles(tmp_path: Path) -> None:
    code = text(tmp_path).split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert "PeftModel.from_pretrained" in code
    with pytest.raises(SyntaxError):
        compile(code.replace(")", "", 1), "card", "exec")


def test_scores_data_and_limits(tmp_path: Path) -> None:
    markdown = text(tmp_path)
    assert "| test | tuned | 48 | 35.4 % | 21.9 to 48.9 % | 17.4 |" in markdown
    assert "- Carbon budget (train, 2,595 words)" in markdown
    assert "was verified against its lock" in markdown
    assert "## Limits" in markdown
    assert "was NOT verified against its lock" in text(tmp_path, synthetic.nasty_files())


def test_hostile_titles_stay_text(tmp_path: Path) -> None:
    markdown = text(tmp_path, synthetic.nasty_files())
    assert synthetic.HOSTILE not in markdown
    assert "<script>" not in markdown
    assert "&lt;script\\>" in markdown
    assert "\\[link\\]" in markdown


def test_plain_and_code_stay_on_one_line() -> None:
    assert card.plain("a\n# b | c") == "a \\# b \\| c"
    assert card.plain(card.plain("*")) == "\\*"
    assert card.code("a`\nb") == "`a' b`"
