"""What a study found, in sentences. Each rule gives one sentence where the numbers bear it out, else none.

"More than chance" means that the corrected p of the paired difference is below 0.05. That a difference is no more
than chance does not make two networks equal: how large a difference could have gone unseen is said too.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from penlight.evaluation.comparison import Difference
from penlight.numbers import counted, decimal_text
from penlight.reports.study_content import MAJORITY, StudyRowResult, StudyTable, best_of
from penlight.reports.words import (
    count,
    counted_images,
    duration,
    interval,
    label_words,
    listed,
    metric_words,
    number,
    p_words,
    sentence,
    signed,
)

_STANDARD_ERRORS_IN_AN_INTERVAL = 2 * 1.959964


def findings(table: StudyTable) -> list[str]:
    """Say what the numbers of a table bear out, in the order in which a reader wants to know."""
    return [said for said in (rule(table) for rule in RULES) if said]


def study_verdict(table: StudyTable, modality: str) -> str:
    """Say which entry ranks best, how sure, and whether it is better than the linear baseline by more than chance."""
    images = counted_images(table.images["test"], "test", modality)
    best, words = table.best, metric_words(table.headline)
    if best is None:
        return f"On {images} the {words.short} of every recipe is undefined."
    row = best.row(table.headline)
    spread = f" ± {number(row.sd)} over {len(best.seeds)} seeds" if len(best.seeds) > 1 else ""
    does = f"ranks {label_words(table.task)} best" if table.headline.startswith("auc") else "does best"
    score = f"{words.short} {number(row.value)}{spread}{_sure(row.low, row.high)}"
    return f"On {images} {in_text(best)} {does}, with {score}{_against_linear(table, best)}."


def _against_linear(table: StudyTable, best: StudyRowResult) -> str:
    linear = table.linear
    if linear is best:
        return _over_networks(table)
    found = table.difference(best, linear)
    if linear is None or found is None:
        return ""
    at = f"the linear baseline at {number(table.score(linear))}"
    if found.more_than_chance and found.value > 0:
        return f", more than chance above {at} ({p_words(found.p_holm)})"
    return f", not above {at} by more than chance"


def _over_networks(table: StudyTable) -> str:
    """Say how the linear baseline, being the best, stands to the networks."""
    networks = _known(table, table.networks)
    if not networks:
        return ""
    nearest = max(networks, key=table.score)
    found = [table.difference(table.linear, entry) for entry in networks]
    clear = "" if all(d and d.more_than_chance for d in found) else "though not "
    has = f"the nearest, {in_text(nearest)}, has {number(table.score(nearest))}"
    return f", above every network, {clear}by more than chance: {has}"


def networks_against_linear(table: StudyTable) -> str | None:
    """Say which networks beat the linear baseline by more than chance, and which fall below it so."""
    linear = table.linear
    found = [(entry, table.difference(entry, linear)) for entry in _known(table, table.networks)]
    tested = [(entry, difference) for entry, difference in found if difference is not None]
    if linear is None or not tested:
        return None
    above = [(e, d) for e, d in tested if d.more_than_chance and d.value > 0]
    below = [(e, d) for e, d in tested if d.more_than_chance and d.value < 0]
    beat = "beats" if len(above) < 2 else "beat"
    said = [f"{_with_p(above) if above else 'no network'} {beat} the linear baseline by more than chance."]
    if below:
        said.append(f"{_with_p(below)} {'falls' if len(below) == 1 else 'fall'} below it by more than chance.")
    return " ".join(map(sentence, said))


def custom_against_pretrained(table: StudyTable) -> str | None:
    """Answer, for these rows, whether a custom network does as well as a pre-trained one, and at what cost."""
    custom, pretrained = (leader(table, kind) for kind in ("custom", "pre-trained"))
    found = table.difference(custom, pretrained)
    if custom is None or pretrained is None or found is None or not math.isfinite(found.p):
        return None
    scores = f"{number(table.score(custom))} against {number(table.score(pretrained))}, {_difference(found)}"
    names = f"the best custom network ({custom.title})", f"the best pre-trained one ({pretrained.title})"
    if not found.more_than_chance:
        edge = max(abs(found.low), abs(found.high))
        unseen = f" A difference of up to {number(edge, 2)} could have gone unseen." if edge else ""
        return (
            f"Between {names[0]} and {names[1]} no difference beyond chance was found: {scores}.{unseen}"
            f"{_cheaper(custom, pretrained)}"
        )
    better, other = names if found.value > 0 else names[::-1]
    return f"{sentence(better)} beats {other} by more than chance: {scores}.{_cheaper(custom, pretrained)}"


def variants(table: StudyTable) -> str | None:
    """Say of each variant, such as augmentation or fine-tuning, whether it changed the score by more than chance."""
    parts, words = [], metric_words(table.headline).short
    for entry in table.entries:
        other = table.entry(entry.compare_with) if entry.compare_with else None
        found = table.difference(entry, other)
        if other is None or found is None or not math.isfinite(found.p):
            continue
        if found.more_than_chance:
            change = "raises" if found.value > 0 else "lowers"
            text = f"{change} the {words} by more than chance ({_difference(found)})"
        else:
            text = f"changes the {words} no more than chance does ({_difference(found)})"
        parts.append(f"{sentence(in_text(entry))} in place of {in_text(other)} {text}.")
    return " ".join(parts) or None


def no_better_than_guessing(table: StudyTable) -> str | None:
    """Name the entries whose interval holds what guessing gets; only for areas under the ROC curve."""
    entries = [entry for entry in _known(table, table.entries) if entry.backbone != MAJORITY]
    guessing = [entry for entry in entries if _holds_guessing(table, entry)]
    without = [entry for entry in guessing if not math.isfinite(entry.row(table.headline).low)]
    held = [entry.title for entry in guessing if entry not in without]
    parts = []
    if held:
        verb = "is" if len(held) == 1 else "are"
        parts.append(f"{listed(held)} {verb} not clearly better than guessing: the interval holds 0.5.")
    parts += [
        f"{entry.title} is not better than guessing: its {metric_words(table.headline).short} is "
        f"{number(entry.row(table.headline).value)}, without an interval."
        for entry in without
    ]
    return " ".join(parts) or None


def _holds_guessing(table: StudyTable, entry: StudyRowResult) -> bool:
    return table.headline.startswith("auc") and entry.row(table.headline).ends[0] <= 0.5


def seen_at_all(table: StudyTable) -> str | None:
    """Say how small a difference these images can show: half the usual width of the differences' intervals."""
    sizes = {entry.id for entry in table.sizes} or {entry.id for entry in table.entries}
    found = [d for d in table.differences if {d.row, d.against} <= sizes]
    widths = [(d.high - d.low) / 2 for d in found if math.isfinite(d.high - d.low)]
    if not widths:
        return None
    usual = number(float(np.median(widths)), 2)
    images = counted(table.images["test"], "test image")
    between = " between sizes" if table.sizes else ""
    return f"With {images}, differences{between} under about {usual} cannot be told from chance."


def which_to_take(table: StudyTable) -> str | None:
    """Recommend by the scores on val, where they are known, else on test: the linear baseline where no network beats
    it, and the cheapest network that keeps up with the best; of the sizes of a recipe the smallest that does; nothing
    where even the best may be guessing. The scores that are given are those on test."""
    seen = _chooses(table)
    best = best_of(seen.sizes, table.headline) if seen.sizes else seen.best
    if best is None:
        return None
    by = "" if seen is table else " on val"
    if _holds_guessing(seen, best):
        return f"Take none of them: not even the best{by}, {in_text(best)}, is clearly better than guessing."
    network = network_to_take(table)
    linear = seen.linear
    if table.sizes and network is not None:
        return _size_to_take(table, network, best)
    if linear is None or _holds_guessing(seen, linear) or _beating(seen):
        return None if network is None else f"Take {in_text(network)}, {_why(table, network)}."
    trains = _training_time(linear, ", and it trains in {}")
    first = f"Take {in_text(linear)}{_on_test(table, linear)}: no network is shown to be better{by}{trains}."
    if network is not None:
        return f"{first} If it is to be a network, take {in_text(network)}, {_why(table, network)}."
    behind = f"No network keeps up with {in_text(best)}{by}: each lies more than a standard error below it."
    return f"{first} {behind}" if table.networks else first


def _size_to_take(table: StudyTable, taken: StudyRowResult, best: StudyRowResult) -> str:
    """Say why the smallest size that keeps up with the best is recommended."""
    seen = _chooses(table)
    by = "" if seen is table else " on val"
    linear, own = seen.linear, seen.entry(taken.id)
    beaten = seen.difference(own, linear)
    behind = ""
    if linear is not None and beaten is not None and not (beaten.more_than_chance and beaten.value > 0):
        behind = f", though it is not shown to be better{by} than {in_text(linear)}"
    why = f"the best{by}" if own is best else f"the smallest that keeps up with the best{by}, {best.size} px"
    answers = f", {decimal_text(ms, 2)} ms an image" if math.isfinite(ms := taken.cost.predict_mean) else ""
    trains = _training_time(taken, ", {} of training a seed")
    return f"Take {taken.size} px, {why}{behind}{_on_test(table, taken)}{trains}{answers}."


def how_it_was_chosen(table: StudyTable) -> str | None:
    """Say by which images the recommendation was chosen, and what that does to its score."""
    seen = _chooses(table)
    known = len(_known(seen, seen.entries))
    if known < 2 or which_to_take(table) is None:
        return None
    if seen is not table:
        # A model that is trained without epochs took nothing from val but its calibration, which ranks alike.
        by_epochs = any(entry.histories for entry in table.entries)
        chosen = (
            "The epochs of networks were also chosen on val, which raises their val scores; t" if by_epochs else "T"
        )
        among = counted(len(_known(seen, seen.sizes)), "size") if seen.sizes else counted(known, "recipe")
        return (
            f"That was chosen by the scores on {counted(seen.images['val'], 'val image')}, among {among}. "
            f"{chosen}est was not used for the choice."
        )
    return (
        f"That was chosen by the scores on test, among {count(known)} recipes, so the score of what is chosen is "
        "somewhat too high; it takes images that no recipe was read on to know it."
    )


def network_to_take(table: StudyTable) -> StudyRowResult | None:
    """Choose, of the networks that keep up with the best entry, the one that trains fastest; of the sizes of a recipe
    that keep up with their best, the smallest.

    By val, where that is known; None if no network does, or if even the best may be guessing.
    """
    seen = _chooses(table)
    if table.sizes:
        return next((table.entry(entry.id) for entry in _keeping_up_in(seen, seen.sizes)), None)

    def cost(entry: StudyRowResult) -> tuple[float, float]:
        return entry.cost.fit_mean if math.isfinite(entry.cost.fit_mean) else math.inf, -seen.score(entry)

    found = min(_keeping_up(seen), key=cost, default=None)
    return None if found is None else table.entry(found.id)


def _chooses(table: StudyTable) -> StudyTable:
    """Give the table by which is recommended."""
    return table if table.on_val is None else table.on_val


def _on_test(table: StudyTable, entry: StudyRowResult) -> str:
    """Give the score on test of what val chose; empty where test chose it."""
    if table.on_val is None:
        return ""
    row = table.entry(entry.id).row(table.headline)
    return f" (on test {metric_words(table.headline).short} {number(row.value)}{_sure(row.low, row.high)})"


def _keeping_up(table: StudyTable) -> list[StudyRowResult]:
    """List the networks no further below the best than one standard error of the paired difference.

    The one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3): of those
    that cannot be told apart take the cheapest, but none that is probably worse. What may be guessing is none of
    them, and where some network beats the linear baseline, one that does not is none of them either.
    """
    return _keeping_up_in(table, _beating(table) or table.networks, table.best)


def _keeping_up_in(
    table: StudyTable, entries: Sequence[StudyRowResult], best: StudyRowResult | None = None
) -> list[StudyRowResult]:
    """List, of entries, those no further below the best, which is by default one of them, than one standard error."""
    known = _known(table, entries)
    best = best or best_of(known, table.headline)
    if best is None or _holds_guessing(table, best):
        return []
    keeping = []
    for entry in known:
        found = table.difference(entry, best)
        if entry is best or (found is not None and found.value >= -_standard_error(found)):
            keeping.append(entry)
    return [entry for entry in keeping if not _holds_guessing(table, entry)]


def _standard_error(found: Difference) -> float:
    """Give the standard error of a difference; from its interval, which is corrected and so no narrower, where it was
    not kept."""
    return found.error if math.isfinite(found.error) else (found.high - found.low) / _STANDARD_ERRORS_IN_AN_INTERVAL


def _beating(table: StudyTable) -> list[StudyRowResult]:
    """List the networks that are above the linear baseline by more than chance."""
    found = [(entry, table.difference(entry, table.linear)) for entry in _known(table, table.networks)]
    return [entry for entry, d in found if d is not None and d.more_than_chance and d.value > 0]


def _why(table: StudyTable, entry: StudyRowResult) -> str:
    seen = _chooses(table)
    on_test, by = ("", "") if seen is table else ("on test ", " on val")
    cost = _training_time(entry, ", {} of training a seed")
    score = f"{on_test}{metric_words(table.headline).short} {number(table.score(entry))}{cost}"
    keeping, own = _keeping_up(seen), seen.entry(entry.id)
    alone = len(keeping) == 1
    if own is seen.best and _beating(seen) == [own]:
        return f"the best{by}, and the only network shown to be better than the linear baseline ({score})"
    if own is seen.best:
        return f"the best{by}{'' if alone else ', and the fastest to train of those that keep up with it'} ({score})"
    if alone:
        return f"the only one that keeps up with the best{by} ({score})"
    return f"the fastest to train of those that keep up with the best{by} ({score})"


def _training_time(entry: StudyRowResult, text: str) -> str:
    """Fill the training time of a seed into a text; empty where it is not known."""
    seconds = entry.cost.fit_mean
    return text.format(duration(seconds)) if math.isfinite(seconds) else ""


def _cheaper(custom: StudyRowResult, pretrained: StudyRowResult) -> str:
    """Say what the custom network costs beside the pre-trained one, in the two that a reader pays for."""
    one, other = custom.cost, pretrained.cost
    parts = [_times(one.fit_mean, other.fit_mean, "train"), _times(one.predict_mean, other.predict_mean, "answer")]
    said = " and ".join(filter(None, parts))
    return f" The custom network {said}." if said else ""


def _times(own: float, other: float, does: str) -> str:
    """Say how many times as fast or as long something takes; empty where both take about the same, or are unknown."""
    if not (math.isfinite(own) and math.isfinite(other) and own > 0 and other > 0):
        return ""
    ratio = max(own / other, other / own)
    if ratio < 1.5:
        return ""
    times = number(ratio, 1) if ratio < 10 else count(round(ratio))
    return f"{does}s {times} times as fast" if own < other else f"takes {times} times as long to {does}"


def leader(table: StudyTable, kind: str) -> StudyRowResult | None:
    """Give the entry of a kind with the highest headline score; None if none is scored."""
    return max(_known(table, [e for e in table.entries if e.kind == kind]), key=table.score, default=None)


def _known(table: StudyTable, entries: Sequence[StudyRowResult]) -> list[StudyRowResult]:
    return [entry for entry in entries if math.isfinite(table.score(entry))]


def in_text(entry: StudyRowResult) -> str:
    """Say an entry in a sentence: "the linear baseline", "the CNN with balanced augmentation"."""
    first = entry.title.split()[0]
    is_plain_word = first[1:].islower()
    return f"the {entry.title[:1].lower()}{entry.title[1:]}" if is_plain_word else f"the {entry.title}"


def _with_p(found: Sequence[tuple[StudyRowResult, Difference]]) -> str:
    return listed([f"{in_text(entry)} ({p_words(difference.p_holm)})" for entry, difference in found])


def _difference(found: Difference) -> str:
    sure = _sure(found.low, found.high, "corrected interval")
    return f"a difference of {signed(found.value)}{sure}, {p_words(found.p_holm)}"


def _sure(low: float, high: float, what: str = "95 % interval") -> str:
    bounds = interval(low, high)
    return f" ({what} {bounds})" if bounds else ""


Rule = Callable[[StudyTable], str | None]

RULES: tuple[Rule, ...] = (
    which_to_take,
    how_it_was_chosen,
    networks_against_linear,
    custom_against_pretrained,
    variants,
    no_better_than_guessing,
    seen_at_all,
)
"""In the order of reading; each is tested on its own."""
