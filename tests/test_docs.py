from configuration_page import PAGE, page

from paperlora.pipeline import config


def test_the_page_about_the_configuration_is_the_one_that_nox_writes():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `env/nox -s docs`"


def test_a_changed_docstring_makes_the_page_stale(monkeypatch):
    schema = config.schema_of("train")
    schema["properties"]["max_steps"]["description"] = "Something else."
    known = config.schema_of
    monkeypatch.setattr(
        config, "schema_of", lambda name: schema if name == "train" else known(name)
    )
    assert PAGE.read_text(encoding="utf-8") != page()


def test_each_section_names_the_commands_that_read_it():
    lines = page({"train": ("model", "train"), "eval": ("model",)}).splitlines()
    assert lines[lines.index("## [model]") + 4] == "Read by `train`, `eval`."
    assert lines[lines.index("## [train]") + 4] == "Read by `train`."
    assert not lines[lines.index("## [corpus]") + 4].startswith("Read by")
