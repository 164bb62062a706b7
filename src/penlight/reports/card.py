"""The model card: the short form of a report, in Markdown, and the part of it that a report repeats.

After Mitchell et al., Model Cards for Model Reporting (FAT* 2019). Its checklist is what reporting guidelines ask of
a study like this, answered where the run knows, open where only its user can: TRIPOD+AI (Collins et al., BMJ 2024),
cited by item, and CLAIM (2024 update: Tejani et al., Radiology: Artificial Intelligence 2024), cited by part. Both
are grouped and shortened here, which is no substitute for either.
"""

import math
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from penlight.escaping import label_list, markdown, markdown_code, quoted
from penlight.evaluation.checks import serious_first
from penlight.evaluation.checks.certainty import RECOGNISED
from penlight.evaluation.intervals import count_units, unit_noun
from penlight.evaluation.novelty_rates import NoveltyRates
from penlight.numbers import counted, pixels_text
from penlight.reports.content import RunContent
from penlight.reports.displays import Reliability, headline_rows
from penlight.reports.published import published_lines, published_notes
from penlight.reports.tables import score_lines
from penlight.reports.verdict import (
    baselines_of,
    cut_words,
    decided_words,
    final_words,
    finding_words,
    kept_words,
    model_cell,
    model_of,
    read_before_words,
    run_verdict,
    unknown_words,
)
from penlight.reports.words import count, image_words, label_words, listed, metric_words, number, plain, with_interval

NOT_CLINICAL = "Not for clinical use."

_FEW_IMAGES = 1000
_FEW_POSITIVES = 30


def run_card(content: RunContent) -> str:
    """Write the card of a run as Markdown."""
    leading = {row.name for row in headline_rows(content.rows)}
    shown = leading | ({"acc_decided"} if "acc" in leading else set())
    whole, baselines = [row for row in content.rows if row.label is None], baselines_of(content)
    lines = zip(whole, score_lines(content.rows, baselines), strict=True)
    page: str = (
        _environment()
        .get_template("card.md")
        .render(
            content=content,
            not_clinical=NOT_CLINICAL,
            verdict=run_verdict(content),
            about=about(content),
            baselines=[baseline.name for baseline in baselines],
            scores=[line for row, line in lines if row.name in shown],
            finding=finding_words(content),
            published=published_lines(content),
            published_notes=published_notes(content),
            calibration=[_calibration(content), *decided_words(content)],
            checks=_checks(content),
            how=_how(content),
            command=content.provenance.get("command"),
            sources=SOURCES,
            checklist=checklist(content),
        )
    )
    return page


@cache
def _environment() -> Environment:
    """Give the templates of this folder that are Markdown, where every text of a stranger goes through a filter."""
    environment = Environment(
        loader=PackageLoader("penlight", "reports"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"markdown": markdown, "markdown_code": markdown_code}
    return environment


def about(content: RunContent) -> list[tuple[str, list[str]]]:
    """Give the sections that a report and a card share: data, intended use, limits, licence, what is held of the
    data; each a list of sentences."""
    return [
        ("Data", _data(content)),
        (
            "Intended use",
            [
                f"For research and teaching: to compare methods on {content.title}, with the scores and "
                f"limits given here.",
                f"{NOT_CLINICAL} It is not a medical device, and must not be used for decisions about patients.",
            ],
        ),
        ("Limits", limits(content)),
        (
            "Licence",
            [
                f"Data: {content.dataset.licence or 'licence not stated'}. It also applies to anyone who shares "
                f"the model.",
                *content.encoders,
                "Penlight, the program that created this: Apache-2.0.",
            ],
        ),
        *([("What this run holds", list(content.holds))] if content.holds else []),
    ]


def limits(content: RunContent) -> list[str]:
    """Say what the numbers do not show, made from the numbers."""
    n = len(content.test)
    own = f" of {content.title}" if content.made_elsewhere else " of the same collection it was trained on"
    small = f"Images are {pixels_text(content.size)}; signs smaller than a pixel at that size cannot be seen."
    found = [
        f"Measured on {count(n)} {content.tested} images{own}; other devices, hospitals and populations were not "
        "tested.",
        *([_TRAINED_ELSEWHERE] if content.made_elsewhere else [small]),
        *([cut] if (cut := cut_words(content)) else []),
        *unknown_words(content),
        *([content.no_model_file] if content.no_model_file else []),
        *content.dataset.cautions,
        "No results by device: the data used here do not name it.",
        *(f"No {what}." for what in content.unavailable_groups),
        *_by_group(content),
        *_novelty(content.novelty_rates),
    ]
    units = count_units(n, content.test.units)
    if units < _FEW_IMAGES:
        few = counted(units, unit_noun(content.test.units))
        found.append(f"With {few} the intervals are wide; read them before the values.")
    positives = [count_units(n, content.test.units, own) for own in content.test.y_true.T]
    named = zip(content.task.labels, positives, strict=True)
    if rare := [f"{quoted(label)} ({own})" for label, own in named if own < _FEW_POSITIVES]:
        noun = unit_noun(content.test.units)
        found.append(f"Few test {noun}s, so uncertain scores, for {listed(rare, most=14)}.")
    return found


def _novelty(rates: NoveltyRates | None) -> list[str]:
    """Say how well images unlike those in train are told, as it was measured."""
    if rates is None:
        return []
    told = [f"{rate.unusual} of {rate.images} of {name}" for name, rate in rates.drawn.items()]
    missed = any(rate.share < RECOGNISED for rate in rates.drawn.values())
    poor = " The model may give a prediction for images of another kind without a warning." if missed else ""
    return [
        f"Called unlike the training images: {count(rates.test.unusual)} of "
        f"{counted(rates.test.images, 'test image')}, "
        f"which are like them, and of drawn images of another kind {listed(told)}.{poor}"
    ]


def _by_group(content: RunContent) -> list[str]:
    """Say which groups were scored, and of which the score of the whole says too much or too little."""
    scored = [group for group in content.subgroups if math.isfinite(group.value)]
    if not scored:
        return []
    metric = metric_words(content.task.headline).short
    apart = [f"{g.column} {g.group} ({number(g.value)})" for g in scored if g.more_than_chance]
    columns = listed(list(dict.fromkeys(group.column for group in scored)))
    if not apart:
        return [f"By {columns} no difference in {metric} was more than chance, which small groups could not show."]
    return [f"By {columns}, {metric} differs from that of all others, by more than chance, for {listed(apart)}."]


def _data(content: RunContent) -> list[str]:
    info, side = content.dataset, f", {content.size} px" if content.size else ""
    sizes = ", ".join(f"{name} {count(n)}" for name, n in content.data.images.items())
    found = [
        f"{content.title} ({info.name}), {image_words(info.modality)}{side}.",
        content.data.view_text(),
        f"Images by split: {sizes}.",
        f"{len(content.task.labels)} {label_words(content.task)}: {label_list(content.task.labels)}.",
    ]
    return [*found, f"Source: {info.source}."] if info.source else found


def _calibration(content: RunContent) -> str:
    found = Reliability.from_predictions(content.test, before=content.before)
    before = f", {number(found.before.error, 3)} before calibration" if found.before else ""
    return (
        f"Probabilities are off by {number(found.error, 3)} on average (expected calibration error on test){before}."
    )


def _checks(content: RunContent) -> list[str]:
    """Say what checks reported, the serious first."""
    if content.checks is None:
        return ["No check was run."]
    told = serious_first(content.checks)
    said = [f"{'Serious, ' if check.serious else ''}{check.code}: {check.seen} {check.do}" for check in told]
    return said or ["No check reported a problem."]


def _how(content: RunContent) -> list[str]:
    changed = [f"{key} = {plain(this)}" for key, (_, this) in content.recipe_differences.items()]
    seed = "made elsewhere" if content.made_elsewhere else f"seed {plain(content.provenance.get('seed'))}"
    return [
        f"Model: {model_cell(content)}, {seed}.",
        f"Recipe: {'; '.join(changed) or 'all defaults'}.",
        *([kept] if (kept := kept_words(content)) else []),
        *read_before_words(content),
    ]


SOURCES = (
    "After TRIPOD+AI (Collins et al., BMJ 2024; items by number) and CLAIM (2024 update, Tejani et al., Radiology: "
    "Artificial Intelligence 2024), grouped and shortened; it replaces neither."
)

_TRAINED_ELSEWHERE = (
    "On which images the model was trained is not known here: if test images, or others of their patients, were "
    "among them, the scores are too high."
)

_NO_IMAGES = "The images were not at hand."

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
    developed = "made elsewhere" if content.made_elsewhere else "developed"
    made = f"A model ({model_cell(content)}) for {n} {noun}, {developed} and tested on {content.title}."
    return [
        Item("Kind of study", "1, 4; CLAIM title, study design", made),
        _open("Clinical context, users, place in care", "3a, 3b; CLAIM introduction", "what it would be used for."),
        _open("Health inequalities", "3c", "which are known in the people it is meant for."),
    ]


def _methods(content: RunContent) -> list[Item]:
    info, task = content.dataset, content.task
    sizes = ", ".join(f"{name} {count(n)}" for name, n in content.data.images.items())
    labels = listed(list(map(quoted, task.labels)), most=20)
    pixels = f"{pixels_text(content.size)}, as they come in the dataset's file." if content.size else _NO_IMAGES
    positives = content.test.y_true.sum(axis=0)
    rarest = f"{task.labels[int(positives.argmin())]} with {count(int(positives.min()))}"
    chosen = [f"{_chosen(content)}; test was read after that.", *read_before_words(content)]
    output = "one label" if content.thresholds is None else "positive above a threshold, which was not chosen on test"
    return [
        Item("Source of the data", "5a; CLAIM data", f"{content.title}. {info.source or 'Source not stated'}."),
        _open("Dates, setting, number of centres", "5b, 6a; CLAIM data", "when and where the images were taken."),
        _open("Eligibility and selection", "6b; CLAIM data", "who was included, and who was left out before."),
        Item("Preparation and selection of images", "7; CLAIM data", f"{pixels} {content.data.view_text()}"),
        _open("Predictors", "9a", "what the model was given of an image, and of its patient.")
        if content.made_elsewhere
        else Item("Predictors", "9a", f"The pixels of {image_words(info.modality)} alone; no other variables."),
        Item("Outcome", "8a; CLAIM reference standard", f"{len(task.labels)} {label_words(task)}: {labels}."),
        _open(
            "How labels were made", "8a, 8b; CLAIM reference standard", "who read the images, and how they agreed."
        ),
        Item(
            "Sample size",
            "10; CLAIM data",
            f"{sizes} images; rarest in test is {rarest}. Whether that is enough was not calculated.",
        ),
        _open("Missing data", "11", "how images without a label or of poor quality were treated before."),
        Item("Partition", "12a, 16; CLAIM data partitions", _partition(content)),
        _open("Model and training", "12c, 22; CLAIM model, training", "how it was made, elsewhere.")
        if content.made_elsewhere
        else Item("Model and training", "12c, 22; CLAIM model, training", _model(content)),
        Item("Choices", "12c; CLAIM training", " ".join(chosen)),
        _open("Class imbalance", "13", "what was done about it in training.")
        if content.made_elsewhere
        else Item("Class imbalance", "13", _balance(content)),
        Item("Output", "15", f"A probability of each label; the answer is {output}."),
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
    return Item(topic, asked, f"Scores by {listed(columns)} are in the report; fairness was not evaluated further.")


def _rest(content: RunContent) -> list[Item]:
    licence, command = content.dataset.licence or "not stated", content.provenance.get("command")
    code = f"Penlight, Apache-2.0; “{command}” repeats the run." if command else "Penlight, Apache-2.0."
    return [
        Item("Limitations", "26; CLAIM discussion", "See the limits and the checks of this card."),
        _open("Interpretation, use with poor input, who may use it", "25, 27; CLAIM discussion", "yours to say."),
        _open("Ethics approval and consent", "17; CLAIM data", "of the collection, and of this use of it."),
        _open("Funding, conflicts, protocol, registration", "18a to 18d; CLAIM other information", "yours to say."),
        Item("Data sharing", "18e; CLAIM other information", f"Licence of the data: {licence}."),
        Item("Code sharing", "18f; CLAIM other information", code),
        _open("Patient and public involvement", "19", "whether there was any."),
    ]


def _open(topic: str, asked: str, what: str) -> Item:
    return Item(topic, asked, what, open=True)


def _chosen(content: RunContent) -> str:
    if not content.made_elsewhere:
        return _CHOSEN_ON_VAL
    found = content.decision is not None and content.decision.found_on != "none"
    here = "thresholds and calibration were found on val" if found else "nothing was chosen here, without val"
    return f"What was chosen in training is not known here; {here}"


def _partition(content: RunContent) -> str:
    if not content.size:
        return "As the labels file, or the names in the predictions, divide the images."
    if content.folds:
        kept = "images" if content.patients is None else "patients"
        test = "read once after that" if content.final else "left alone"
        return (
            f"{content.divided} of the dataset's train and val, stratified by label, with {kept} and near "
            f"duplicates kept together; the dataset's test was {test}."
        )
    if content.patients is None:
        return "The dataset's own splits; patients are not named, so whether one is in two splits is not known."
    people = ", ".join(f"{name} {count(n)}" for name, n in content.patients.items())
    return f"The dataset's own splits, no patient in two of them; patients: {people}."


def _model(content: RunContent) -> str:
    made, recipe = content.provenance, content.recipe
    parameters = made.get("parameters")
    model = model_cell(content) + final_words(content.provenance).rstrip(",")
    found = [f"{model}, {counted(parameters, 'parameter')}" if parameters else model]
    if content.history is not None:
        found.append(f"{counted(len(content.history), 'epoch')}, weights of epoch {content.best_epoch}")
        optimizer = recipe.get("model", {}).get("optimizer") or recipe.get("train", {}).get("optimizer")
        found += [f"optimizer {optimizer}"] if optimizer else []
    found.append(f"seed {plain(made.get('seed'))}")
    return f"{'; '.join(found)}. The recipe in full is recipe.toml."


def _balance(content: RunContent) -> str:
    if model_of(content) in ("kernel", "ensemble"):
        return (
            "Its kernel weighs rare classes more; scores of each label and balanced ones are given in "
            "addition to accuracy."
        )
    train = content.recipe.get("train", {})
    balance, weight = train.get("balance", "none"), train.get("loss", {}).get("positive_weight", "none")
    if (balance, weight) == ("none", "none") or content.history is None:
        return "Nothing was done about it; scores of each label and balanced ones are given in addition to accuracy."
    return f"Balanced by {balance}, positive weight {weight}; test keeps its own shares."
