"""The model card: the short form of a report, in Markdown, and the part of it that a report repeats.

After Mitchell et al., Model Cards for Model Reporting (FAT* 2019).
"""

import math
from collections.abc import Sequence

from penlight.escaping import label_list, markdown, markdown_code, quoted
from penlight.evaluation.checks import serious_first
from penlight.evaluation.checks.looking import TOLD
from penlight.evaluation.intervals import count_units, unit_noun
from penlight.evaluation.novelty_rates import NoveltyRates
from penlight.numbers import counted
from penlight.reports.checklist import SOURCES, checklist
from penlight.reports.content import RunContent
from penlight.reports.displays import Reliability, headline_rows
from penlight.reports.published import published_lines, published_notes
from penlight.reports.tables import ScoreLine, score_lines
from penlight.reports.verdict import (
    cut_words,
    decided_words,
    finding_words,
    kept_words,
    model_cell,
    read_before_words,
    rivals_of,
    run_verdict,
)
from penlight.reports.words import count, image_words, label_words, listed, metric_words, number, plain

NOT_CLINICAL = "Not for clinical use."

_FEW_IMAGES = 1000
_FEW_POSITIVES = 30


def run_card(content: RunContent) -> str:
    """Write the card of a run as Markdown."""
    parts = [
        f"# {markdown(content.name)}",
        f"**{NOT_CLINICAL}** {markdown(run_verdict(content))}",
        *(f"## {title}\n\n{_bullets(lines)}" for title, lines in about(content)[:2]),
        f"## Scores\n\n{_score_table(content)}",
        *([_bullets(told)] if (told := finding_words(content)) else []),
        *_published(content),
        f"## Calibration\n\n{_bullets([_calibration(content), *decided_words(content)])}",
        f"## Checks\n\n{_bullets(_checks(content))}",
        *(f"## {title}\n\n{_bullets(lines)}" for title, lines in about(content)[2:]),
        f"## How it was made\n\n{_bullets(_how(content))}\n- {_repeat(content)}",
        f"## Reporting checklist\n\n{SOURCES}\n\n{_asked(content)}",
    ]
    return "\n\n".join(parts) + "\n"


def about(content: RunContent) -> list[tuple[str, list[str]]]:
    """Give the sections that a report and a card share: data, intended use, limits, licence, what is held of the
    data; each a list of sentences."""
    return [
        ("Data", _data(content)),
        ("Intended use", _use(content)),
        ("Limits", limits(content)),
        ("Licence", _licence(content)),
        *([("What this run holds", list(content.holds))] if content.holds else []),
    ]


def limits(content: RunContent) -> list[str]:
    """Say what the numbers do not show, made from the numbers."""
    n = len(content.test)
    found = [
        f"Measured on {count(n)} {content.tested} images of the same collection it was trained on; other devices, "
        "hospitals and populations were not tested.",
        f"Images are {content.size} × {content.size} px; signs smaller than a pixel at that size cannot be seen.",
        *([cut] if (cut := cut_words(content)) else []),
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
    return [*found, *_rare(content)]


def _novelty(rates: NoveltyRates | None) -> list[str]:
    """Say how well images unlike those in train are told, as it was measured."""
    if rates is None:
        return []
    told = [f"{rate.unusual} of {rate.images} of {name}" for name, rate in rates.drawn.items()]
    missed = any(rate.share < TOLD for rate in rates.drawn.values())
    poor = " Pictures of another kind may be answered without a warning." if missed else ""
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
    info = content.dataset
    sizes = ", ".join(f"{name} {count(n)}" for name, n in content.data.images.items())
    found = [
        f"{content.title} ({info.name}), {image_words(info.modality)}, {content.size} px.",
        content.data.view_text(),
        f"Images by split: {sizes}.",
        f"{len(content.task.labels)} {label_words(content.task)}: {label_list(content.task.labels)}.",
    ]
    return [*found, f"Source: {info.source}."] if info.source else found


def _use(content: RunContent) -> list[str]:
    return [
        f"For research and teaching: to compare methods on {content.title}, with the scores and limits given here.",
        f"{NOT_CLINICAL} It is no medical device, and no decision about a patient may rest on it.",
    ]


def _licence(content: RunContent) -> list[str]:
    return [
        f"Data: {content.dataset.licence or 'licence not stated'}. Whoever passes the model on keeps to it.",
        "Penlight, the program that made this: Apache-2.0.",
    ]


def _rare(content: RunContent) -> list[str]:
    units = content.test.units
    positives = [count_units(len(own), units, own) for own in content.test.y_true.T]
    rare = [
        f"{quoted(label)} ({n})"
        for label, n in zip(content.task.labels, positives, strict=True)
        if n < _FEW_POSITIVES
    ]
    return [f"Few test {unit_noun(units)}s, so uncertain scores, for {listed(rare, most=14)}."] if rare else []


def _calibration(content: RunContent) -> str:
    found = Reliability.from_predictions(content.test, before=content.before)
    before = f", {number(found.before.error, 3)} before calibration" if found.before else ""
    return (
        f"Probabilities are off by {number(found.error, 3)} on average (expected calibration error on test){before}."
    )


def _checks(content: RunContent) -> list[str]:
    """Say what spoke up, the serious first."""
    if content.checks is None:
        return ["No check was run."]
    told = serious_first(content.checks)
    said = [f"{'Serious, ' if check.serious else ''}{check.code}: {check.seen} {check.do}" for check in told]
    return said or ["No check spoke up."]


def _asked(content: RunContent) -> str:
    items = checklist(content)
    return "\n".join(f"- **{i.topic}** ({i.asked}): {markdown(i.text)}" for i in items)


def _how(content: RunContent) -> list[str]:
    changed = [f"{key} = {plain(this)}" for key, (_, this) in content.recipe_differences.items()]
    return [
        f"Model: {model_cell(content)}, seed {plain(content.provenance.get('seed'))}.",
        f"Recipe: {'; '.join(changed) or 'all defaults'}.",
        *([kept] if (kept := kept_words(content)) else []),
        *read_before_words(content),
    ]


def _repeat(content: RunContent) -> str:
    command = content.provenance.get("command")
    return f"Repeat it with: {markdown_code(command)}" if command else "The command that made it was not recorded."


def _score_table(content: RunContent) -> str:
    rivals = rivals_of(content)
    leading = {row.name for row in headline_rows(content.rows)}
    shown = leading | ({"acc_decided"} if "acc" in leading else set())
    whole = [row for row in content.rows if row.label is None]
    heads = ["score", "this run", "95 % interval", *(rival.name for rival in rivals)]
    ruler = ["---"] + ["---:"] * (len(heads) - 1)
    found = zip(whole, score_lines(content.rows, rivals), strict=True)
    lines = [_score_cells(line) for row, line in found if row.name in shown]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [list(map(markdown, heads)), ruler, *lines])


def _published(content: RunContent) -> list[str]:
    """The section on published scores, where there are any."""
    lines = published_lines(content)
    if not lines:
        return []
    heads = ["published", "started", "chosen on", "AUC", "accuracy", "source"]
    ruler = ["---", "---", "---", "---:", "---:", "---"]
    unknown = "not said"
    rows = [
        [row.model, row.start or unknown, row.chosen_on or unknown, *map(_published_cell, scores), row.source]
        for row, scores in lines
    ]
    cells = [heads, ruler, *(list(map(markdown, row)) for row in rows)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in cells)
    return [f"## Beside published scores\n\n{table}\n\n{_bullets(published_notes(content))}"]


def _published_cell(score: tuple[str, str]) -> str:
    value, stands = score
    return f"{value} (run {stands})" if stands else value


def _score_cells(line: ScoreLine) -> list[str]:
    title = f"{line.title} (official MedMNIST)" if line.official else line.title
    value = f"{line.value} ({line.note})" if line.note else line.value
    return list(map(markdown, [title, value, line.interval, *line.others]))


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown(line)}" for line in lines)
