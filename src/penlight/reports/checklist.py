"""What reporting guidelines ask of a study like this: answered where the run knows, open where only its user can.

After TRIPOD+AI (Collins et al., BMJ 2024) and CLAIM (2024 update: Tejani et al., Radiology: Artificial Intelligence
2024), grouped and shortened. TRIPOD+AI is cited by item, CLAIM by the part of it. It is no substitute for either.
"""

import math
from dataclasses import dataclass

from penlight.escaping import quoted
from penlight.numbers import counted
from penlight.reports.content import RunContent
from penlight.reports.verdict import model_cell, model_of, read_before_words
from penlight.reports.words import count, image_words, label_words, listed, metric_words, plain, with_interval

SOURCES = (
    "After TRIPOD+AI (Collins et al., BMJ 2024; items by number) and CLAIM (2024 update, Tejani et al., Radiology: "
    "Artificial Intelligence 2024), grouped and shortened; it replaces neither."
)

_CHOSEN_ON_VAL = "The epoch (where there are epochs), thresholds and calibration were chosen on val or train"


@dataclass(frozen=True)
class Item:
    """What is asked for, where it is asked, and the answer; an open one says what its user has to tell."""

    topic: str
    asked: str
    answer: str
    open: bool = False

    @property
    def text(self) -> str:
        """The answer, or "open: ..." with what is to be told."""
        return f"open: {self.answer}" if self.open else self.answer


def checklist(content: RunContent) -> list[Item]:
    """Answer the items of a run, in the order of a paper."""
    return [*_background(content), *_methods(content), *_results(content), *_rest(content)]


def _background(content: RunContent) -> list[Item]:
    n, noun = len(content.task.labels), label_words(content.task)
    made = f"A model ({model_cell(content)}) for {n} {noun}, developed and tested on {content.title}."
    return [
        Item("Kind of study", "1, 4; CLAIM title, study design", made),
        _open("Clinical context, users, place in care", "3a, 3b; CLAIM introduction", "what it would be used for."),
        _open("Health inequalities", "3c", "which are known in the people it is meant for."),
    ]


def _methods(content: RunContent) -> list[Item]:
    info, task = content.dataset, content.task
    sizes = ", ".join(f"{name} {count(n)}" for name, n in content.data.images.items())
    labels = listed(list(map(quoted, task.labels)), most=20)
    return [
        Item("Source of the data", "5a; CLAIM data", f"{content.title}. {info.source or 'Source not stated'}."),
        _open("Dates, setting, number of centres", "5b, 6a; CLAIM data", "when and where the images were taken."),
        _open("Eligibility and selection", "6b; CLAIM data", "who was included, and who was left out before."),
        Item(
            "Preparation and selection of images", "7; CLAIM data", f"{_pixels(content)} {content.data.view_text()}"
        ),
        Item("Predictors", "9a", f"The pixels of {image_words(info.modality)} alone; no other variables."),
        Item("Outcome", "8a; CLAIM reference standard", f"{len(task.labels)} {label_words(task)}: {labels}."),
        _open(
            "How labels were made", "8a, 8b; CLAIM reference standard", "who read the images, and how they agreed."
        ),
        Item(
            "Sample size",
            "10; CLAIM data",
            f"{sizes} images; {_rarest(content)} Whether that is enough was not calculated.",
        ),
        _open("Missing data", "11", "how images without a label or of poor quality were treated before."),
        Item("Partition", "12a, 16; CLAIM data partitions", _partition(content)),
        Item("Model and training", "12c, 22; CLAIM model, training", _model(content)),
        Item("Choices", "12c; CLAIM training", _chosen(content)),
        Item("Class imbalance", "13", _balance(content)),
        Item("Output", "15", _output(content)),
    ]


def _results(content: RunContent) -> list[Item]:
    row = next((r for r in content.rows if r.name == content.task.headline and r.label is None), None)
    words = metric_words(content.task.headline).short
    said = (
        "no headline score"
        if row is None
        else f"{words} {with_interval(row, 3)} on {count(row.n)} {content.tested} images"
    )
    shown = "calibration, every metric with its interval, and the errors are in the report"
    return [
        Item("Performance and how sure it is", "12e, 23a; CLAIM evaluation, results", f"{said}; {shown}."),
        _open("Age, sex and other characteristics", "20b; CLAIM results", "of the people in each split."),
        _groups(content),
        _open("Testing on data of another place", "16; CLAIM evaluation", "none was done here."),
        _open("Robustness and explanations", "CLAIM evaluation", "whether they were looked at, and how."),
        Item("Failures", "CLAIM results", "Confusions and the most confident errors are shown in the report."),
    ]


def _groups(content: RunContent) -> Item:
    topic, asked = "Fairness, subgroups, centres", "12d, 14, 23a, 23b"
    columns = list(dict.fromkeys(group.column for group in content.subgroups if math.isfinite(group.value)))
    if not columns:
        return _open(topic, asked, "results by group; the data used do not name any that could be scored.")
    return Item(topic, asked, f"Scores by {listed(columns)} are in the report; fairness was not judged beyond them.")


def _rest(content: RunContent) -> list[Item]:
    command = content.provenance.get("command")
    code = f"Penlight, Apache-2.0; “{command}” repeats the run." if command else "Penlight, Apache-2.0."
    return [
        Item("Limitations", "26; CLAIM discussion", "See the limits and the checks of this card."),
        _open("Interpretation, use with poor input, who may use it", "25, 27; CLAIM discussion", "yours to say."),
        _open("Ethics approval and consent", "17; CLAIM data", "of the collection, and of this use of it."),
        _open("Funding, conflicts, protocol, registration", "18a to 18d; CLAIM other information", "yours to say."),
        Item("Data sharing", "18e; CLAIM other information", _sharing(content)),
        Item("Code sharing", "18f; CLAIM other information", code),
        _open("Patient and public involvement", "19", "whether there was any."),
    ]


def _open(topic: str, asked: str, what: str) -> Item:
    return Item(topic, asked, what, open=True)


def _pixels(content: RunContent) -> str:
    return f"{content.size} × {content.size} px, as they come in the dataset's file."


def _rarest(content: RunContent) -> str:
    positives = content.test.y_true.sum(axis=0)
    place = int(positives.argmin())
    return f"rarest in test is {content.task.labels[place]} with {count(int(positives[place]))}."


def _partition(content: RunContent) -> str:
    if content.folds:
        kept = "images" if content.patients is None else "patients"
        return (
            f"{len(content.folds)} folds of the dataset's train and val, stratified by label, with {kept} and near "
            "duplicates kept together; the dataset's test was left alone."
        )
    if content.patients is None:
        return "The dataset's own splits; patients are not named, so whether one is in two splits is not known."
    people = ", ".join(f"{name} {count(n)}" for name, n in content.patients.items())
    return f"The dataset's own splits, no patient in two of them; patients: {people}."


def _model(content: RunContent) -> str:
    made, recipe = content.provenance, content.recipe
    parameters = made.get("parameters")
    model = model_cell(content)
    found = [f"{model}, {counted(parameters, 'parameter')}" if parameters else model]
    if content.history is not None:
        found.append(f"{counted(len(content.history), 'epoch')}, weights of epoch {content.best_epoch}")
        optimizer = recipe.get("train", {}).get("optimizer")
        found += [f"optimizer {optimizer}"] if optimizer else []
    found.append(f"seed {plain(made.get('seed'))}")
    return f"{'; '.join(found)}. The recipe in full is recipe.toml."


def _chosen(content: RunContent) -> str:
    return " ".join([f"{_CHOSEN_ON_VAL}; test was read after that.", *read_before_words(content)])


def _balance(content: RunContent) -> str:
    if model_of(content) in ("kernel", "ensemble"):
        return "Its kernel weighs rare classes more; scores of each label and balanced ones stand beside accuracy."
    train = content.recipe.get("train", {})
    balance, weight = train.get("balance", "none"), train.get("loss", {}).get("positive_weight", "none")
    if (balance, weight) == ("none", "none") or content.history is None:
        return "Nothing was done about it; scores of each label and balanced ones stand beside accuracy."
    return f"Balanced by {balance}, positive weight {weight}; test keeps its own shares."


def _output(content: RunContent) -> str:
    if content.thresholds is None:
        return "A probability of each label; the answer is one label."
    return "A probability of each label; the answer is positive above a threshold, which was not chosen on test."


def _sharing(content: RunContent) -> str:
    return f"Licence of the data: {content.dataset.licence or 'not stated'}."
