import pytest

from paperlora.errors import InputError
from paperlora.pipeline import config


@pytest.mark.parametrize("name", config.shipped())
def test_every_shipped_configuration_loads_and_survives_being_stored(name, tmp_path):
    loaded = config.load(name)
    stored = tmp_path / "config.toml"
    stored.write_text(config.to_toml(loaded))
    assert config.load(str(stored)) == loaded


def test_the_three_configurations_ship():
    assert config.shipped() == ["demo", "paper", "tiny"]


def test_overrides_reach_their_section():
    loaded = config.load("demo", ["train.max_steps=3", "corpus.papers=/a b", "adapter.dropout=0"])
    assert (loaded.train.max_steps, loaded.corpus.papers) == (3, "/a b")
    assert loaded.adapter.dropout == 0.0


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.max_step=3", "did you mean 'max_steps'"),
        ("trian.max_steps=3", "did you mean 'train'"),
        ("train.max_steps=0", "at least 1"),
        ("train.max_steps=2.5", "type int"),
        ("train.max_steps=true", "type int"),
        ("train.learning_rate=fast", "type float"),
        ("adapter.mlp=[1]", "list"),
        ("dataset.test_share=0.9", "between 0 and 0.5"),
        ("train.learning_rate=nan", "type float"),
        ("model.max_length=1", "at least 32"),
        ("eval.passages=-1", "0 or more"),
        ("adapter.dropout=2", "below 1"),
        ("max_steps=3", "section.key=value"),
        ("train.max_steps", "section.key=value"),
    ],
)
def test_a_bad_override_is_refused_with_its_remedy(override, says):
    with pytest.raises(InputError, match=says):
        config.load("demo", [override])


def test_an_adapter_on_nothing_is_refused():
    with pytest.raises(InputError, match="no projection"):
        config.load("demo", ["adapter.mlp=[]", "adapter.attention=[]"])


def test_files_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(InputError, match="did you mean 'demo'"):
        config.load("dem")
    bad = tmp_path / "bad.toml"
    bad.write_text("[model\n")
    with pytest.raises(InputError, match="not TOML"):
        config.load(str(bad))
    for text, says in [("", "model"), ("[model]\n", "model.id"), ("model = 3", "table")]:
        bad.write_text(text)
        with pytest.raises(InputError, match=says):
            config.load(str(bad))


@pytest.mark.parametrize(
    "name", ['o\'brien \\ "q"', "\u00a0soft\u00ad", "\U0001f600", "del\x7f\x1b"]
)
def test_a_folder_of_any_name_survives_being_stored(name, tmp_path):
    given = config.with_papers(config.load("demo"), tmp_path / name)
    stored = tmp_path / "config.toml"
    stored.write_text(config.to_toml(given))
    assert config.load(str(stored)) == given
