from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import synthetic_run as synthetic

from paperlora.errors import DataError
from paperlora.files import sha256_file
from paperlora.pipeline.report import report as module

if TYPE_CHECKING:
    from pathlib import Path

S = {
    "n",
    "accuracy",
    "accuracy_ci95",
    "relevance_mean",
    "overlap_mean",
    "score_mean",
    "perplexity",
}


def few(papers: int = 1) -> dict[str, Any]:
    """Return a good run with so few papers that its word clouds take no time."""
    files = synthetic.good_files()
    return files | {"documents.jsonl": files["documents.jsonl"][:papers]}


def outputs(run: Path) -> dict[str, str]:
    made = [run / "report.json", run / "report.html", run / "adapter" / "README.md"]
    made += sorted((run / "plots").iterdir())
    return {str(path.relative_to(run)): sha256_file(path) for path in made}


def test_assemble_has_the_schema(tmp_path: Path) -> None:
    report = module.assemble(synthetic.write(tmp_path / "demo", synthetic.good_files()))
    assert report["schema"] == 1
    assert report["run"] == "demo"
    assert set(report) == {
        *("schema", "run", "run_argument", "notes", "config", "environment", "environments"),
        *("model", "adapter", "corpus", "dataset", "train", "eval", "samples"),
    }
    assert {"target", "fingerprint", "lock_digest", "python", "findings", "observed"} <= set(
        report["environment"]
    )
    assert "environment" not in report["eval"]
    assert report["corpus"]["papers"] == 12
    assert len(report["corpus"]["words"]) == len(report["corpus"]["extractors"]) == 12
    assert [item["file"] for item in report["corpus"]["rejected"]] == ["scan.pdf", "page.pdf"]
    for model in ("base", "tuned"):
        for split in module.SPLITS:
            assert set(report["eval"][model][split]) == S
    assert "samples" not in report["eval"]
    assert len(report["samples"]) == 4
    json.dumps(report, allow_nan=False)


def test_each_part_keeps_its_environment(tmp_path: Path) -> None:
    files = few()
    files["eval.json"]["environment"] = synthetic.environment(gpu="NVIDIA H100")
    report = module.assemble(synthetic.write(tmp_path, files))
    assert report["environment"] == report["environments"]["train"]
    assert report["environment"] == files["train.json"]["environment"]
    assert report["environments"]["eval"] == files["eval.json"]["environment"]


def test_notes_are_optional_texts(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path, few())
    assert module.assemble(run)["notes"] == []
    synthetic.write(run, {"notes.json": ["one", "two"]})
    assert module.assemble(run)["notes"] == ["one", "two"]
    for wrong in ("text", [1], {"a": "b"}):
        synthetic.write(run, {"notes.json": wrong})
        with pytest.raises(DataError, match="is not a list of texts"):
            module.assemble(run)


def test_a_run_is_named_as_the_command_line_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = synthetic.write(tmp_path / "demo", few())
    assert module.assemble(run)["run_argument"] == "path/to/demo"
    monkeypatch.setenv("PAPERLORA_RUNS", str(tmp_path))
    assert module.assemble(run)["run_argument"] == "demo"
    monkeypatch.chdir(run)
    assert module.assemble(module.Path())["run_argument"] == "demo"


def test_papers_carry_their_split_but_not_their_text(tmp_path: Path) -> None:
    corpus = module.assemble(synthetic.write(tmp_path, synthetic.good_files()))["corpus"]
    splits = {item["paper"]: item["split"] for item in corpus["documents"]}
    assert splits["carbon-budget"] == "train"
    assert splits["vaccine-efficacy"] == "test"
    assert all("paragraphs" not in item for item in corpus["documents"])


def test_corpus_digest_follows_the_papers_alone(tmp_path: Path) -> None:
    files = few()
    before = module.assemble(synthetic.write(tmp_path, files))["corpus"]["digest"]
    files["train.json"]["train"]["seconds"] = 1.0
    assert module.assemble(synthetic.write(tmp_path, files))["corpus"]["digest"] == before
    files["documents.jsonl"][0]["sha256"] = "0" * 64
    assert module.assemble(synthetic.write(tmp_path, files))["corpus"]["digest"] != before


def test_not_a_number_becomes_null(tmp_path: Path) -> None:
    files = synthetic.nasty_files()
    with pytest.raises(ValueError, match="not JSON compliant"):
        json.dumps(files["eval.json"], allow_nan=False)
    report = module.assemble(synthetic.write(tmp_path, files))
    json.dumps(report, allow_nan=False)
    assert report["eval"]["tuned"]["test"]["perplexity"] is None
    assert report["train"]["loss"] == [[1, 9.5], [2, None], [3, None]]
    assert report["config"]["odd"]["limit"] is None
    assert report["config"]["odd"]["day"] == "2026-11-23"


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        (float("-inf"), None),
        ({"a": [float("nan"), 1.5]}, {"a": [None, 1.5]}),
        ("half \ud835 pair", "half ? pair"),
        ((True, 0, None), [True, 0, None]),
    ],
)
def test_finite(value: object, clean: object) -> None:
    assert module.finite(value) == clean


@pytest.mark.parametrize("name", module.INPUTS)
def test_missing_input_names_the_file_and_the_command(tmp_path: Path, name: str) -> None:
    run = synthetic.write(tmp_path / "demo", few())
    (run / name).unlink()
    with pytest.raises(DataError) as caught:
        module.report(run)
    assert str(run / name) in str(caught.value)
    assert f"env/nox -s {module.INPUTS[name][0]} -- --run" in str(caught.value)
    assert not (run / "report.json").exists()


def test_missing_adapter_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path / "demo", few())
    (run / "adapter" / "adapter_config.json").unlink()
    (run / "adapter").rmdir()
    with pytest.raises(DataError, match="adapter is missing"):
        module.report(run)
    assert not (run / "report.json").exists()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("eval.json", '{"metric": {}}', "lacks base, tuned"),
        ("train.json", "[]", "lacks model"),
        ("train.json", '{"environment": {"target": "cuda"}}', "environment.fingerprint"),
        ("train.json", "3", "lacks model, adapter, train, environment →"),
        ("documents.jsonl", '{"paper": "a"}\n', "lacks file"),
        ("config.toml", "x = ", "is not TOML"),
        ("parse.json", "{", "is not JSON"),
    ],
)
def test_damaged_input_is_a_data_error(
    tmp_path: Path, name: str, content: str, complaint: str
) -> None:
    run = synthetic.write(tmp_path, few())
    (run / name).write_text(content)
    with pytest.raises(DataError, match=complaint):
        module.assemble(run)


def test_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    runs = [synthetic.write(tmp_path / place / "demo", few()) for place in ("here", "there")]
    for run in runs:
        module.report(run)
    assert outputs(runs[0]) == outputs(runs[1])
    assert len(outputs(runs[0])) == 9

    files = few()
    files["train.json"]["train"]["loss"][3][1] += 0.5
    module.report(synthetic.write(runs[1], files))
    changed = {
        name for name, digest in outputs(runs[0]).items() if outputs(runs[1])[name] != digest
    }
    assert changed == {"report.json", "report.html", "plots/loss.png"}


def test_the_worst_run_still_gets_a_report(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path / synthetic.HOSTILE.replace("/", "-"), synthetic.nasty_files())
    module.report(run)
    assert len(outputs(run)) == 9
    assert not list(run.rglob(".*"))
