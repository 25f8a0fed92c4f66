import subprocess
import sys

import pytest
from pydantic import ValidationError

from paperlora.errors import InputError
from paperlora.files import ROOT
from paperlora.pipeline import config, config_file, run

SOURCE = ROOT / "src"


@pytest.mark.parametrize("name", config_file.shipped())
def test_every_shipped_configuration_loads_and_survives_being_stored(name, tmp_path):
    loaded = config_file.load(name)
    stored = tmp_path / "config.toml"
    stored.write_text(config_file.to_toml(loaded))
    assert config_file.load(str(stored)) == loaded


def test_the_three_configurations_ship():
    assert config_file.shipped() == ["demo", "paper", "tiny"]


def test_overrides_reach_their_section():
    loaded = config_file.load(
        "demo", ["train.max_steps=3", "corpus.papers=/a b", "adapter.dropout=0"]
    )
    assert (loaded.train.max_steps, loaded.corpus.papers) == (3, "/a b")
    assert loaded.adapter.dropout == 0.0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.max_step=3", "unknown key 'max_step' in .train. .did you mean 'max_steps'"),
        ("trian.max_steps=3", "unknown section .trian. .did you mean 'train'"),
        ("memory.step=fuse", "did you mean 'fused'.* → give one of auto, fused, plain, stock"),
        ("train.max_steps=0", "train.max_steps is 0 → give an integer, at least 1"),
        ("train.max_steps=2.5", "is 2.5 → give an integer"),
        ("train.max_steps=true", "is True → give an integer"),
        ('train.max_steps="3"', "is '3' → give an integer"),
        ("memory.capture=1", "is 1 → give true or false"),
        ("train.learning_rate=fast", "is 'fast' → give a number"),
        ("train.learning_rate=true", "is True → give a number"),
        ("adapter.mlp=[1]", "adapter.mlp contains 1 → give a list of different names"),
        ("adapter.mlp=q_proj", "adapter.mlp is 'q_proj' → give a list"),
        ("dataset.test_share=0.9", "above 0 and below 0.5"),
        ("model.max_length=1", "at least 32"),
        ("eval.passages=-1", "at least 0"),
        ("adapter.dropout=2", "below 1"),
        ("max_steps=3", "section.key=value"),
        ("train.max_steps", "section.key=value"),
    ],
)
def test_a_bad_override_is_refused_with_its_remedy(override, words):
    with pytest.raises(InputError, match=words):
        config_file.load("demo", [override])


@pytest.mark.parametrize(
    "override",
    [
        "adapter.alpha=0",
        "adapter.attention=['']",
        "adapter.attention=['q_proj', 'q_proj']",
        "adapter.mlp=['q_proj']",  # attention has it
        "adapter.rank=0",
        "corpus.memory_mib=0",
        "corpus.papers=''",
        "corpus.timeout_seconds=0",
        "dataset.answer_words=7",
        "dataset.duplicate_overlap=-0.1",
        "dataset.duplicate_overlap=1.1",
        "dataset.passage_words=0",
        "dataset.test_share=0",
        "dataset.validation_share=0.5",
        "eval.batch=0",
        "eval.threshold=0",
        "eval.threshold=7",
        "model.compute_dtype=int8",
        "model.id=''",
        'model.id="a\\u0000"',
        "train.learning_rate=-1",
        "train.learning_rate=0",
        "train.learning_rate=inf",
        "train.learning_rate=nan",
        "train.max_gradient_norm=-1",
        "train.max_steps=1_000_001",
        "train.seed=-1",
        "train.seed=100000000000000000000",
        f"train.seed={'9' * 5000}",  # more digits than int() reads
        "train.warmup_steps=-1",
        "train.weight_decay=-0.1",
    ],
)
def test_a_value_that_cannot_work_is_refused(override):
    with pytest.raises(InputError, match=override.partition("=")[0].partition(".")[0]):
        config_file.load("demo", [override])


@pytest.mark.parametrize(
    "override",
    [
        "adapter.dropout=0",
        "eval.passages=0",
        "eval.threshold=1",
        "train.max_gradient_norm=0",
        "train.warmup_steps=0",
        "train.weight_decay=0",
        "dataset.duplicate_overlap=1",
    ],
)
def test_a_bound_itself_is_accepted(override):
    section, key = override.partition("=")[0].split(".")
    value = getattr(getattr(config_file.load("demo", [override]), section), key)
    assert value == float(override.partition("=")[2])


def test_the_largest_seed_is_one_that_torch_takes():
    import torch

    torch.manual_seed(config_file.load("demo", [f"train.seed={2**63 - 1}"]).train.seed)


def test_all_faults_are_named_in_one_line():
    with pytest.raises(InputError) as caught:
        config_file.load("demo", ["train.seed=-1", "memory.step=quick", "eval.bach=3"])
    message = str(caught.value)
    assert [part in message for part in ("train.seed is -1", "'quick'", "'bach'")] == [True] * 3
    assert "\n" not in message


@pytest.mark.parametrize("section", list(config.RunConfig.model_fields))
def test_each_key_is_described_and_each_number_is_bounded(section):
    schema = config.schema_of(section)
    assert schema["description"]
    for key, about in schema["properties"].items():
        assert about.get("description"), key
        if about.get("type") in {"integer", "number"}:
            assert {"minimum", "exclusiveMinimum"} & about.keys(), key


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        config_file.load("demo").train.max_steps = 3


def test_an_adapter_on_nothing_is_refused():
    with pytest.raises(InputError, match="both empty"):
        config_file.load("demo", ["adapter.mlp=[]", "adapter.attention=[]"])


def test_a_folder_that_cannot_be_stored_is_refused():
    with pytest.raises(InputError, match=r"corpus\.papers"):
        config_file.load("demo", ["corpus.papers=not-utf8-\udcff"])


def test_the_command_line_starts_without_pydantic():
    # `lock`, `check` and `order` run where only Python is installed.
    code = "import sys, paperlora.__main__; sys.exit('pydantic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(SOURCE)})


def test_files_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(InputError, match="did you mean 'demo'"):
        config_file.load("dem")
    bad = tmp_path / "bad.toml"
    bad.write_text("[model\n")
    with pytest.raises(InputError, match="not valid TOML"):
        config_file.load(str(bad))
    for text, words in [("", "model"), ("[model]\n", "model.id"), ("model = 3", "table")]:
        bad.write_text(text)
        with pytest.raises(InputError, match=words):
            config_file.load(str(bad))


@pytest.mark.parametrize(
    "name", ['o\'brien \\ "q"', "\u00a0soft\u00ad", "\U0001f600", "del\x7f\x1b"]
)
def test_a_folder_of_any_name_survives_being_stored(name, tmp_path):
    given = run.settings(tmp_path / "run", papers=tmp_path / name).config
    assert given.corpus.papers == str(tmp_path / name)
    stored = tmp_path / "config.toml"
    stored.write_text(config_file.to_toml(given))
    assert config_file.load(str(stored)) == given
