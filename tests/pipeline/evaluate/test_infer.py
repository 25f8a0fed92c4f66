import io

import pytest
import torch
from made_up import tiny_config

from paperlora.errors import InputError
from paperlora.files import read_jsonl
from paperlora.pipeline.evaluate import infer


@pytest.fixture(scope="module")
def session(trained):
    return infer.start(trained, tiny_config(), device="cpu")


def test_the_passage_that_fits_is_found_and_named(session, trained, capsys):
    row = read_jsonl(trained / "dataset" / "test.jsonl")[0]
    term = row["prompt"].rsplit("about ", 1)[1].rstrip("?")
    passage = infer.best_passage(session, f"What is {term}?")
    assert (passage.paper, passage.page) == (row["paper"], row["page"])
    infer.answer(session, f"What is {term}?", max_new_tokens=3)
    assert f"[from On {row['paper']}, page {row['page']}" in capsys.readouterr().err


def test_a_question_about_nothing_in_the_papers_gets_no_passage(session, capsys):
    assert infer.best_passage(session, "Qwertz?") is None
    infer.answer(session, "Qwertz?", max_new_tokens=2)
    assert "[from" not in capsys.readouterr().err


def test_no_context_gives_none(session, capsys):
    infer.answer(session, session.passages[0].text, max_new_tokens=2, context=False)
    assert "[from" not in capsys.readouterr().err


def test_the_answer_is_streamed_to_stdout(session, monkeypatch):
    """Seen from inside: what is on stdout while the model is still at work."""
    out, seen = io.StringIO(), []

    def generate(*, input_ids, streamer, **_):
        streamer.put(input_ids.cpu())
        for token in session.loaded.tokenizer("one two three", add_special_tokens=False).input_ids:
            streamer.put(torch.tensor([token]))
            seen.append(out.getvalue())
        streamer.end()
        return input_ids

    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr(session.tuned, "generate", generate)
    infer.answer(session, "Why?", max_new_tokens=12, context=False)
    assert out.getvalue() == "one two three\n"
    assert "one two " in seen
    assert "" in seen


def test_an_empty_question_is_refused():
    with pytest.raises(InputError, match="empty"):
        list(infer.questions([" "]))


def test_questions_come_from_the_command_line_or_else_line_by_line(monkeypatch):
    assert list(infer.questions(["What", "is it?"])) == ["What is it?"]
    monkeypatch.setattr("sys.stdin", io.StringIO("one?\ntwo?\n\nthree?\n"))
    assert list(infer.questions([])) == ["one?", "two?", "three?"]


def test_questions_that_are_not_utf8_are_refused(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"warum h\xf6rt"), "utf-8"))
    with pytest.raises(InputError, match="UTF-8"):
        list(infer.questions([]))


def test_on_a_terminal_an_empty_line_ends_the_questions(monkeypatch, capsys):
    typed = io.StringIO("one?\n\nnever read?\n")
    typed.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", typed)
    assert list(infer.questions([])) == ["one?"]
    assert "question (empty to end)" in capsys.readouterr().err
