"""What the files of a dataset leave open: a question with both of its answers, and the option that gives each."""

from collections.abc import Sequence
from dataclasses import dataclass

from penlight.errors import DataError


@dataclass(frozen=True)
class Interpretation:
    """One way to read a dataset: in words, and the option of `penlight data new` that asks for it."""

    words: str
    option: str


@dataclass(frozen=True)
class OpenQuestion:
    """What may be read in several ways, in a sentence, and the ways; `about` is the option without its value."""

    about: str
    sentence: str
    readings: Sequence[Interpretation]


class UndecidedError(DataError):
    """A dataset may be read in several ways, and nobody has said which; `question` has them."""

    def __init__(self, question: OpenQuestion, remedy: str = "") -> None:
        told = [f"{reading.option} ({reading.words})" for reading in question.readings]
        more = "; ..." if len(told) > _MOST else ""
        super().__init__(question.sentence, remedy or f"Say which: {'; '.join(told[:_MOST])}{more}.")
        self.question = question


_MOST = 8


def ask(about: str, sentence: str, *readings: tuple[str, str]) -> UndecidedError:
    """Make the error of a question from its readings, each in words and as an option."""
    return UndecidedError(OpenQuestion(about, sentence, [Interpretation(*reading) for reading in readings]))
