"""Every check by its number. A number stays with its check, so that a report of today can be looked up later."""

from collections.abc import Mapping, Sequence
from typing import Any

from penlight.evaluation.calibration import FEWEST
from penlight.evaluation.checks import audited, looking, numbers, skill, splits, subgroups, training
from penlight.evaluation.checks.check import Check, CheckRule, serious_first
from penlight.evaluation.checks.evidence import Evidence
from penlight.evaluation.rows import Score
from penlight.evaluation.subgroups import FEWEST_UNITS

CHECKS: tuple[CheckRule[Evidence], ...] = (
    CheckRule(
        "PL001",
        "It does not beat the linear baseline",
        "The headline score on test is no higher than that of the linear baseline. Serious.",
        "The linear baseline is a logistic regression on principal components of the pixels: simpler, faster, and "
        "here at least as good.",
        "Use the linear baseline, or look at what the network lacks: more epochs, augmentation, larger images, "
        "pre-trained weights.",
        skill.no_better_than_linear,
    ),
    CheckRule(
        "PL002",
        "It may be no better than the linear baseline",
        "The headline score on test is higher than that of the linear baseline, but the 95 % interval of the paired "
        "difference, both resampled on the same images, holds zero.",
        "A lead as small as this comes by chance as well; another test split could turn it round.",
        "Do not call it better. Train several seeds, or test on more images.",
        skill.not_clearly_better_than_linear,
    ),
    CheckRule(
        "PL003",
        "Val and test are apart",
        "The 99 % interval of the headline score on val less that on test, over the labels that both have, does not "
        f"hold zero. Serious if they are more than {splits.FAR_APART} apart.",
        "What was chosen on val (the epoch, thresholds, calibration) was chosen on images that are easier or harder "
        "than those of test, or so often that it fits val alone.",
        "Believe test, not val. Look at how the splits were made and whether patients or sources differ; choose "
        "among fewer settings, or by cross-validation on train.",
        splits.val_and_test_apart,
    ),
    CheckRule(
        "PL004",
        "A label is never answered",
        f"No test image is given a label that some test images have. Serious if at least {skill.ENOUGH} have it "
        "(patients, where they are known).",
        "Its sensitivity is 0, whatever the mean over labels says.",
        "For findings and two classes, find thresholds on val (--set decide.thresholds=f1); for classes, balance "
        "training (--set train.balance=sampling), or join labels that are too rare to learn.",
        skill.never_answered,
    ),
    CheckRule(
        "PL005",
        "Accuracy is that of the majority answer",
        "The 95 % interval of the paired difference between its accuracy and that of the most usual answer (the "
        "most frequent class, or each finding's more frequent answer) holds zero or lies below it. Serious where an "
        "image has one class; where it may have several findings, accuracy seldom says more.",
        "An accuracy that looks high is reached without looking at the image.",
        "Read AUC, balanced accuracy, sensitivity and specificity instead; balance training if rare classes matter.",
        skill.accuracy_of_the_majority,
    ),
    CheckRule(
        "PL006",
        "Probabilities are not calibrated",
        f"The expected calibration error on test is above {numbers.OFF} and above 99 % of the errors that perfectly "
        "calibrated probabilities have by chance on as many images (simulated from the probabilities themselves; "
        "where patients are known, by random signs of the gaps of whole patients). "
        f"Serious from {numbers.FAR_OFF} on.",
        "A probability of 0.9 does not mean that nine of ten are right; thresholds and decisions that rest on "
        "probabilities are off.",
        "Train with less weight on rare labels, find the calibration on more images (--folds shows how much it "
        "varies), or use the order of the images alone.",
        numbers.not_calibrated,
    ),
    CheckRule(
        "PL007",
        "Too few positives to tune a threshold",
        f"A label has fewer than {FEWEST} patients (images, where patients are not known) with it, or without it, in "
        "val; its threshold took the fallback.",
        "The fallback cuts at the prevalence in train; nothing says that this is a good operating point.",
        "Do not rely on the answers for these labels; use their probabilities, or get more images for val.",
        numbers.too_few_to_tune,
    ),
    CheckRule(
        "PL008",
        "Images or patients stand in more than one split",
        "The audit of the dataset found the same image, or the same patient, in two splits. Serious where the audit "
        "says so.",
        "The model has seen what it is tested on, so scores are too high; those without the images that have a "
        "duplicate elsewhere say by how much, as far as near duplicates were found.",
        "Take them out of all splits but one (penlight data audit names them), and train again.",
        audited.duplicates_across_splits,
    ),
    CheckRule(
        "PL009",
        "It was still improving when training ended",
        f"The last epoch has the best headline score on val, by more than {training.GAIN}, and the learning rate had "
        "not been lowered to less than a tenth of its peak.",
        "More epochs may give a better model, so this one says little about what the recipe can do.",
        "Train longer (--set train.epochs=...), with patience to stop when val no longer improves.",
        training.still_improving,
    ),
    CheckRule(
        "PL011",
        "Test is shifted from train",
        "The audit found a shift between splits; or a label's share differs between train and test by at least "
        f"{splits.SHARE_MOVED:.0%} of the images and by more than chance (p below {splits.P_SHIFT}, corrected for "
        "the labels); or the model's probabilities are distributed otherwise on test than on val (Kolmogorov-Smirnov "
        f"distance at least {splits.OUTPUTS_MOVED}, p below {splits.P_SHIFT}, corrected).",
        "Thresholds, calibration and predictive values found on val need not hold on test, nor anywhere else.",
        "Find out what differs (device, hospital, time, selection); split again at random by patient, or say that "
        "the test is of another population.",
        splits.shifted,
    ),
    CheckRule(
        "PL012",
        "Nothing shows that it learned anything",
        "The 95 % interval of the paired difference between its headline score and that of an answer that never "
        "looks at the image holds zero or lies below it. Serious.",
        "Its ranking of the images cannot be told from chance, so no other number of the run says anything.",
        "Check that images and labels belong together, that the loss falls, and that the learning rate is not far "
        "too high or low; see whether the linear baseline learns anything.",
        skill.learned_nothing,
    ),
    CheckRule(
        "PL013",
        "The same image has different labels",
        "The audit of the dataset found an image more than once, with different labels. Serious where the audit "
        "says so.",
        "At least one of the labels is wrong, and others that nobody can see may be too.",
        "Ask who read the images which label is right; take out what cannot be settled.",
        audited.conflicting_labels,
    ),
    CheckRule(
        "PL014",
        "Scores rest on few images",
        f"In test, fewer than {numbers.FEW} patients (images, where patients are not known) have a label, or lack "
        f"it; or the 95 % interval of the headline score is undefined or wider than {numbers.WIDE}.",
        "One image more or less moves such a score visibly.",
        "Read intervals before values; test on more images with these labels, or report them together.",
        numbers.few_images,
    ),
    CheckRule(
        "PL015",
        "A split lacks a label, or has hardly any of it",
        f"No image of a split has a label; or fewer than {FEWEST} patients (images, where patients are not "
        "known) of train or val have it.",
        "In train, little can be learned of it; in val, little can be chosen for it; in test, it has no score, and "
        "means over labels leave it out.",
        "Split again, stratified by label, or leave the label out of the dataset and say so.",
        audited.absent_in_a_split,
    ),
    CheckRule(
        "PL016",
        "Patients are not known",
        "The dataset does not say which patient an image is of. A note, true of most public sets.",
        "Images of one patient may stand in two splits, so scores may be too high. Intervals take images as "
        "independent and may be too narrow, unless the dataset says how many images a patient has: then all are "
        "widened by what so many alike images would do.",
        "If you know the patients, name them in the dataset, or by image hash in NAME-patients.csv; else say so "
        "wherever you give the scores.",
        audited.patients_unknown,
    ),
    CheckRule(
        "PL017",
        "The audit of the data found something else",
        "The audit of the dataset found what no other check speaks of, such as blank images or images that stand "
        "twice in one split. Serious where the audit says so.",
        "Such images count in training and in scores.",
        "Look at them (penlight data audit names them).",
        audited.other_problems,
    ),
    CheckRule(
        "PL018",
        "A subgroup's score differs",
        "The headline score of a group (by site, age in bands, sex, view) differs from that of all other test images "
        "by more than chance: p below 0.05 by drawing memberships anew, corrected over all groups (Holm), and the "
        "95 % interval of the difference does not hold zero. Serious where it is lower by more than "
        f"{subgroups.FAR_BELOW}. Groups of fewer than {FEWEST_UNITS} patients (images, where patients are "
        "not known) are not asked.",
        "The score of the whole promises this group more, or less, than it gets.",
        "Give scores by group wherever you give the whole; see what differs in its images and labels, and train on "
        "more of it. One division that was looked for later proves little.",
        subgroups.a_group_differs,
    ),
    CheckRule(
        "PL019",
        "Maps hardly depend on what was learned",
        "The maps of a few test images have a mean rank correlation of at least "
        f"{looking.ALIKE} with the maps of the same model with random weights.",
        "Such a map shows the image, its edges and contrast, and says next to nothing of why the model answers so.",
        "Do not read this run's maps as reasons; explain it by another method (penlight explain --method occlusion), "
        "and see whether the model has learned anything.",
        looking.maps_without_learning,
    ),
    CheckRule(
        "PL020",
        "Many recipes have been read on the same test images",
        f"On this machine at least {splits.MANY_RECIPES} other recipes had been read on these test images before, by "
        "the record that penlight data show lists. A note; baselines and cross-validation do not count.",
        "The best of many scores on the same images is partly luck: whoever chooses among them by test flatters the "
        "one that is chosen.",
        "Choose on val or by cross-validation (--folds), as tuning does, and say how many recipes were read; confirm "
        "what matters on images that nobody has scored.",
        splits.read_often,
    ),
    CheckRule(
        "PL021",
        "A temperature is at its bound",
        "The temperature that calibrates the probabilities is as high as it may be.",
        "The model's probabilities say nearly nothing: it is sure of answers that are wrong as often as right.",
        "Train with more regularisation or fewer epochs; do not rely on this run's probabilities.",
        numbers.temperature_at_bound,
    ),
    CheckRule(
        "PL022",
        "Prediction sets break their promise",
        "The 95 % interval of the coverage of prediction sets on test lies below what was wanted. Serious if it is "
        f"lower by more than {numbers.FAR_FROM_PROMISE}.",
        "The truth is outside the set more often than it says; sets were fitted on val, which is not like test, or "
        "was used to choose as well.",
        "Read the coverage on test, not the one that was wanted; fit sets on more images that chose nothing.",
        numbers.sets_break_their_promise,
    ),
    CheckRule(
        "PL023",
        "Images of another kind are not told from its own",
        f"Fewer than {looking.TOLD:.0%} of the drawn images of another modality (the phantoms that show another part "
        "of the body) are called unlike the training images, or more than "
        f"{looking.FALSE_ALARMS:.0%} of the test images.",
        "The model answers for a picture that it knows nothing of, and nothing warns; or it warns for what it knows.",
        "Do not rely on this run's warning for unlike images: see to it that it gets images of its own kind alone.",
        looking.strangers_missed,
    ),
)

SEEDS_CHECKS: tuple[CheckRule[Sequence[Score]], ...] = (
    CheckRule(
        "PL010",
        "Seeds disagree",
        f"The headline scores of several seeds lie more than {training.APART} apart, and further than the 95 % "
        "interval of one of them is wide. Serious.",
        "How good the model is depends more on the seed than on the test images; the best seed is luck.",
        "Report the mean and standard deviation, never the best seed; lower the learning rate, train longer, or "
        "average the seeds' probabilities.",
        training.seeds_disagree,
    ),
)


def run_checks(evidence: Evidence) -> list[Check]:
    """Put every check to the evidence of a run; give those that speak up, the serious ones first."""
    return serious_first([check for rule in CHECKS if (check := rule(evidence)) is not None])


def check_seeds(by_seed: Mapping[Any, Sequence[Check]], headlines: Sequence[Score]) -> list[Check]:
    """Give what spoke up over several seeds: each check of a run once, and those of the seeds together.

    `by_seed` has the checks of each seed, `headlines` are the seeds' rows of the headline metric.
    """
    codes = dict.fromkeys(check.code for own in by_seed.values() for check in own)
    merged = [_merged(code, by_seed) for code in codes]
    together = [check for rule in SEEDS_CHECKS if (check := rule(headlines)) is not None]
    return serious_first([*merged, *together])


def check_folds(by_fold: Mapping[str, Sequence[Check]]) -> list[Check]:
    """Give what spoke up in any fold of a cross-validation about its training and data; of scores, all folds together
    say more. `by_fold` has the checks of each fold by its name."""
    asked = {name: [check for check in own if check.code in _OF_EACH_FOLD] for name, own in by_fold.items()}
    codes = dict.fromkeys(check.code for own in asked.values() for check in own)
    return serious_first([_merged(code, asked, "fold") for code in codes])


_OF_EACH_FOLD = ("PL007", "PL008", "PL009", "PL013", "PL016", "PL017")


def _merged(code: str, by_seed: Mapping[Any, Sequence[Check]], noun: str = "seed") -> Check:
    """Say in which seeds a check spoke up, and what it saw in the first of them, a serious one if there is any."""
    found = {seed: check for seed, own in by_seed.items() for check in own if check.code == code}
    seed, first = next(((s, c) for s, c in found.items() if c.serious), next(iter(found.items())))
    if len(found) == len(by_seed) and len({check.seen for check in found.values()}) == 1:
        return first
    where = f"every {noun}" if len(found) == len(by_seed) else f"{len(found)} of {len(by_seed)} {noun}s"
    one = str(seed).removeprefix(f"{noun}-")
    return Check(code, first.serious, f"In {where}; in {noun} {one}: {first.seen}", first.why, first.do)


def describe_checks() -> str:
    """Describe every check as the Markdown of docs/checks.md."""
    rules: list[CheckRule[Any]] = sorted([*CHECKS, *SEEDS_CHECKS], key=_code)
    return "\n".join([_HEAD, *(_described(rule) for rule in rules)])


def _code(rule: CheckRule[Any]) -> str:
    return rule.code


def _described(rule: CheckRule[Any]) -> str:
    return (
        f"## {rule.code} {rule.title}\n\n**When.** {rule.when}\n\n**Why it matters.** {rule.why}\n\n"
        f"**What to do.** {rule.do}\n"
    )


_HEAD = """# Checks

Penlight looks at every run for what would make its scores less than they seem, and speaks up where it sees it: after
`penlight train` and `penlight evaluate`, in the report, in the card, and under `checks` in JSON. A serious check says
that a score may not be believed as it stands; the others are notes. Where a check lacks its evidence it is silent:
`penlight score`, for predictions made elsewhere, has no val, no baselines and no learning curves. So silence proves
nothing.

Checks that compare splits, and the one on calibration, speak only at 99 % or beyond, so that a clean run is seldom
troubled; those that compare models use the 95 % interval that stands beside the scores.

This page is written from the table that the checks are in: `python -m penlight.evaluation.checks > docs/checks.md`.
"""
