"""What a worker process says is checked: it has read what strangers made."""

import pytest

from penlight.answers import Answer, AnswerOfWorker, ErrorOfWorker, Unlike, read_answer
from penlight.errors import LargePictureError, PenlightError, RunError

LABELS = ("a", "b")
ANSWER = Answer(("a",), {"a": 0.75, "b": 0.25}, ("a", "b"), ("a", "b"), 0.5, unusual=False, several=True)
SAID = AnswerOfWorker(ANSWER, (Unlike("small", "It is small."),)).to_dict()


def test_an_answer_is_read_as_it_was_sent():
    found = read_answer(SAID, LABELS)
    assert (found.answer, found.warnings) == (ANSWER, (Unlike("small", "It is small."),))
    assert SAID["abstains"]
    assert SAID["several_possible"]


@pytest.mark.parametrize(
    "changed",
    [
        {"probabilities": {"b": 0.25, "a": 0.75}},
        {"probabilities": {"a": 0.75}},
        {"probabilities": {"a": 1.75, "b": 0.25}},
        {"probabilities": {"a": "0.75", "b": 0.25}},
        {"answers": ["c"]},
        {"possible": ["a", "c"]},
        {"undecided": "a"},
        {"novelty": "0.5"},
        {"unusual": 1},
        {"why": "x" * 5000},
        {"why": "\x1b[31m"},
        {"warnings": [{"code": "else", "text": ""}]},
        {"warnings": [{"code": "small", "text": "x" * 600}]},
        {"warnings": [{"code": "small", "text": ""}] * 11},
    ],
)
def test_what_no_model_answers_is_refused(changed):
    with pytest.raises(RunError):
        read_answer({**SAID, **changed}, LABELS)


def test_an_error_keeps_its_kind_and_its_texts_without_the_name_of_the_picture():
    sent = ErrorOfWorker.of(LargePictureError("it has too many pixels", "Make it smaller.", "secret.png")).to_dict()
    assert "secret" not in str(sent)
    error = ErrorOfWorker.from_dict(sent).named("mine.png")
    assert type(error) is LargePictureError
    assert "mine.png" in error.problem
    long = ErrorOfWorker.from_dict({"kind": "Strange", "problem": "x" * 10_000, "remedy": ""}).named("a")
    assert type(long) is PenlightError
    assert len(long.problem) == 4000
    with pytest.raises(RunError):
        ErrorOfWorker.from_dict({"kind": "RunError", "problem": 1, "remedy": ""})
