from __future__ import annotations

import io
import struct
import warnings
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pytest
import synthetic_run as synthetic
import synthetic_training
from matplotlib.figure import Figure

from paperlora.pipeline.report import report
from paperlora.pipeline.report.plots import plots
from paperlora.pipeline.report.plots.palette import short

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {"words", "wordclouds", "loss", "accuracy", "memory", "adapter"}


def rendered(run: Path, files: dict[str, Any]) -> dict[str, bytes]:
    content = report.assemble(synthetic.write(run, files))
    return plots.render(content, files["metrics.jsonl"], files["documents.jsonl"])


def chunks(png: bytes) -> list[str]:
    """Return the chunk types of a PNG."""
    kinds, place = [], 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        kinds.append(png[place + 4 : place + 8].decode())
        place += length + 12
    return kinds


def labels(figure: Figure) -> list[str]:
    return [
        handle.get_text()
        for legend in (*figure.legends, *(axes.get_legend() for axes in figure.axes))
        if legend
        for handle in legend.get_texts()
    ]


def test_all_pictures_are_drawn_with_one_width_and_no_history(tmp_path: Path) -> None:
    pictures = rendered(tmp_path, synthetic.nasty_files())
    assert set(pictures) == {f"{name}.png" for name in NAMES}
    for png in pictures.values():
        assert png.startswith(b"\x89PNG")
        assert struct.unpack(">I", png[16:20]) == (900,)
        assert not {"tEXt", "iTXt", "zTXt", "tIME"} & set(chunks(png))


def test_the_check_for_history_can_fail() -> None:
    buffer = io.BytesIO()
    Figure().savefig(buffer, format="png")
    assert "tEXt" in chunks(buffer.getvalue())


def test_settings_of_the_user_have_no_influence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = rendered(tmp_path, synthetic.nasty_files())
    monkeypatch.setitem(mpl.rcParams, "font.size", 30.0)
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "black")
    assert rendered(tmp_path, synthetic.nasty_files()) == usual


def test_letters_that_the_font_lacks_give_no_warning(tmp_path: Path) -> None:
    files = synthetic.nasty_files()
    files["documents.jsonl"][0]["paper"] = "論文 $x_1 \U0001f9ec"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rendered(tmp_path, files)
    figure = Figure()
    figure.text(0.5, 0.5, "論文")
    with pytest.warns(UserWarning, match="Glyph"):
        figure.savefig(io.BytesIO(), format="png")


def test_smooth_keeps_a_constant_and_flattens_a_spike() -> None:
    assert plots.smooth([2.0] * 30) == pytest.approx([2.0] * 30)
    spiked = [0.0] * 15 + [7.0] + [0.0] * 15
    assert max(plots.smooth(spiked)) == pytest.approx(1.0)


def test_loss_smooths_only_many_points() -> None:
    many = synthetic_training.training(40)["train"]
    assert "training, moving mean" in labels(plots.loss(many))
    few = synthetic_training.training(8)["train"]
    assert "training, moving mean" not in labels(plots.loss(few))


def test_loss_marks_the_best_step_and_an_early_stop() -> None:
    stopped = labels(plots.loss(synthetic_training.training(30)["train"]))
    assert any(label.startswith("best: step 25, ") for label in stopped)
    assert "stopped early at 30 of 40" in stopped
    ended = labels(plots.loss(synthetic_training.training(40)["train"]))
    assert not any("stopped early" in label for label in ended)


def test_loss_without_any_number_says_so() -> None:
    train = synthetic_training.training(3)["train"] | {"loss": [[1, None]], "validation_loss": []}
    figure = plots.loss(train)
    assert figure.axes[0].texts[0].get_text() == "no loss was recorded"


def test_memory_shows_the_gpu_only_where_there_is_one() -> None:
    for gpu in (True, False):
        train = synthetic_training.training(5, gpu=gpu)
        rows = synthetic_training.metrics(train, gpu=gpu)
        shown = labels(plots.memory_use(rows, train["train"]["peak_memory"]))
        assert any("host memory" in label for label in shown)
        assert any("GPU while loading" in label for label in shown) is gpu
        assert len(shown) == (4 if gpu else 1)


def test_memory_without_rows_says_so() -> None:
    figure = plots.memory_use([], {"host_bytes": 1})
    assert figure.axes[0].texts[0].get_text() == "no memory was recorded"


def test_short_keeps_both_ends_on_one_line() -> None:
    assert short("a\nb\x00c", 10) == "a b c"
    cut = short("beginning" + "x" * 90 + "end", 20)
    assert len(cut) == 20
    assert cut.startswith("beginning")
    assert cut.endswith("end")
