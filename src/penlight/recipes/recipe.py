"""The Recipe: everything that decides a training run but its seed, frozen, validated and hashable."""

import contextlib
import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from penlight.disk import is_possible_path
from penlight.errors import PenlightError, RecipeError
from penlight.escaping import shown
from penlight.parsing import parse_toml
from penlight.records import Name, Text

Share = Annotated[float, Field(ge=0, le=1)]
Below1 = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


Override = str | tuple[str, Any]
"""A change of a recipe's value: "train.epochs=3", or ("train.epochs", 3)."""


def _require_possible_path(text: str) -> str:
    if not is_possible_path(text):
        raise ValueError("a path or a name of an ordinary length was expected")
    return text


PathText = Annotated[str, AfterValidator(_require_possible_path)]


class Section(BaseModel):
    """A part of a file that people write: keys that are not known are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


class Data(Section):
    """The dataset and its targets; the size is 0 where its images are not at hand.

    `head` is how a network's logits are read: "auto" is what fits the task; "softmax" forgets the order of grades, as
    the official tables do.
    """

    dataset: PathText = ""
    size: Annotated[int, Field(ge=0)] = 28
    view: PathText = "native"
    head: Literal["auto", "cumulative", "softmax"] = "auto"


class Majority(Section):
    """Answers with the shares of the labels in train, for every image."""

    backbone: Literal["majority"] = "majority"


class Linear(Section):
    """Log-pixels, mirrored copies, principal components, logistic regression: the score to beat.

    `components` of the PCA; `strength` is the inverse regularisation C; `flips` adds mirrored copies where the
    anatomy allows it.
    """

    backbone: Literal["linear"] = "linear"
    components: Count = 40
    strength: Annotated[float, Field(gt=0)] = 1.0
    flips: bool = True


class Cnn(Section):
    """A small CNN: convolution and pooling per entry of `filters`, a dense layer, dropout.

    `exposure` is how pixels are scaled: "fixed" divides by 255, "per-image" takes each image's own mean and spread
    away, for films whose exposure says nothing. `convolutions` per block; `normalise` adds batch normalisation;
    `block_dropout` after each pooling, one value or one per block; `pooling` is how the maps become a vector.
    """

    backbone: Literal["cnn"] = "cnn"
    exposure: Literal["fixed", "per-image"] = "fixed"
    filters: tuple[Count, ...] = (32, 64)
    convolutions: Count = 1
    normalise: bool = False
    block_dropout: tuple[Below1, ...] = ()
    pooling: Literal["flatten", "average"] = "flatten"
    dense: Annotated[int, Field(ge=0)] = 128
    dropout: Below1 = 0.5


class Residual(Section):
    """A small residual network: a stem, then a stage per entry of `widths`, each half the size of the one before.

    `blocks` per stage, pre-activation (He et al. 2016); `dropout` before the head; `exposure` as in `Cnn`.
    """

    backbone: Literal["residual"] = "residual"
    exposure: Literal["fixed", "per-image"] = "fixed"
    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 64, 128)
    blocks: Count = 1
    dropout: Below1 = 0.2


class FineTune(Section):
    """The second phase of a pre-trained network: its last `layers` are trained too, at a low `learning_rate`; batch
    normalisation keeps its statistics. With 0 layers there is no second phase.

    A stage is the layers whose maps have one size. Each stage learns at `decay` times the rate of the one above it,
    nearer to the head (Howard and Ruder 2018, section 3.2). `gradual` opens them one after the other, from the head
    down, each for an equal part of the epochs. Warm-up, schedule and patience are those of the section `train`.
    """

    layers: Annotated[int, Field(ge=0)] | Literal["all"] = 0
    epochs: Count = 10
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    gradual: bool = False


class Pretrained(Section):
    """A network of `keras.applications` with ImageNet weights and a new head.

    `weights` is "imagenet" (downloaded by Keras), the path or name of a weights file (looked for in $PENLIGHT_DATA
    too), or "random". `width` is MobileNet's alone. Images are resized to `input_size` inside the network; "own" is
    their own size. The first phase trains the head on the frozen network, by the section `train`; `fine_tune` is the
    second. Where nothing is augmented, or `head_on` is "features", the head learns on features of the images as they
    are, which are computed once.
    """

    backbone: Literal["mobilenet", "mobilenetv2", "resnet50", "efficientnetv2b0", "densenet121"]
    weights: Annotated[PathText, Field(min_length=1)] = "imagenet"
    width: Annotated[float, Field(gt=0, le=2)] = 1.0
    input_size: Annotated[int, Field(ge=32, le=512)] | Literal["own"] = 224
    dense: Annotated[int, Field(ge=0)] = 128
    dropout: Below1 = 0.5
    head_on: Literal["images", "features"] = "images"
    fine_tune: FineTune = FineTune()

    def side_of(self, size: int) -> int:
        """Give the side in pixels that images of a size are resized to."""
        return size if self.input_size == "own" else self.input_size


class _FeatureBased(Section):
    """What classifiers of handcrafted features share: `patches` is how many patches are looked for."""

    patches: Annotated[int, Field(ge=8, le=1000)] = 200


class Kernel(_FeatureBased):
    """Kernel ridge regression on handcrafted features of the images, for few of them.

    `width` is the mean squared distance of two images in the exponent of the kernel; `ridge` the penalty; of more
    than `landmarks` images that number stands for the rest.
    """

    backbone: Literal["kernel"] = "kernel"
    width: Annotated[float, Field(gt=0)] = 0.28
    ridge: Annotated[float, Field(gt=0)] = 0.1
    landmarks: Annotated[int, Field(ge=8, le=4000)] = 2000


class Trees(_FeatureBased):
    """Extra trees on handcrafted features, which earlier versions had and this one opens: `leaf` is the fewest
    images in a leaf, `share` that of the features tried for each split."""

    backbone: Literal["trees"] = "trees"
    trees: Annotated[int, Field(ge=1, le=1000)] = 300
    leaf: Count = 3
    share: Annotated[float, Field(gt=0, le=1)] = 0.2


class Perceptron(_FeatureBased):
    """A small network of one hidden layer on handcrafted features, which earlier versions had and this one opens:
    `penalty` is on its weights, answers of several `starts` are averaged, and of the numbers of patches it reads the
    first principal `components`."""

    backbone: Literal["perceptron"] = "perceptron"
    hidden: Count = 64
    penalty: Annotated[float, Field(ge=0)] = 1.0
    epochs: Count = 25
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    starts: Annotated[int, Field(ge=1, le=50)] = 5
    components: Count = 60


class Encoded(Section):
    """Features of the images by a network trained elsewhere, an encoder, and a probe on them.

    `weights` is the path or name of an ONNX file, of a Keras file or of a run, looked for in $PENLIGHT_DATA too, and
    `sha256` its hash once it was found. `network` names the one of keras.applications that a file of weights is of,
    where its own name does not. `pixels` and `output` say what the file does not: how it wants pixels, and which of
    its values are the features. Images are brought to each of `sizes`, and the features of all stand beside one
    another; without them sizes are chosen by that of the images. The `probe` is a logistic regression, a ridge
    regression, which is faster, or the vote of the nearest images, which shows how much of its score is the
    encoder's. Its `strength` is the inverse regularisation C, chosen by images left out where it is None; `balance`
    weighs rare classes up.
    """

    backbone: Literal["encoder"] = "encoder"
    weights: Annotated[PathText, Field(min_length=1)] = "encoder.onnx"
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    sizes: Annotated[tuple[Annotated[int, Field(ge=8, le=2048)], ...], Field(max_length=5)] = ()
    network: Name = ""
    pixels: Name = ""
    output: Name = ""
    probe: Literal["logistic", "ridge", "knn"] = "logistic"
    strength: Annotated[float, Field(gt=0)] | None = None
    balance: Literal["none", "balanced"] = "none"


class Own(Section):
    """A network that the user hands in: a function `build(input_shape, n_outputs)`, or a `keras.Model`.

    A recipe only says which it was; the code runs where the user names it, and is kept beside the recipe. `name` is
    FILE.py:NAME without a folder, or what a network from Python is called. `sha256` is the hash of what is kept,
    `structure` that of the layers as they were built. `fresh` networks begin with new weights, not those of the model
    that was given. `optimizer`, `loss` and `callbacks` name the user's own, in whose place those of `train` are not
    used.
    """

    backbone: Literal["own"] = "own"
    name: Name = ""
    sha256: Name = ""
    structure: Name = ""
    fresh: bool = False
    optimizer: Name | None = None
    loss: Name | None = None
    callbacks: tuple[Name, ...] = ()


class Estimator(Section):
    """An estimator of scikit-learn that the user hands in from Python, on pixels of 0 to 1 in a row: `name` is its
    class, `options` how it is written with the options that differ from their defaults."""

    backbone: Literal["estimator"] = "estimator"
    name: Name = ""
    options: Text = ""


BASELINE_MODELS: dict[str, Majority | Linear] = {"majority": Majority(), "linear": Linear()}
"""What every score stands beside, by name."""

Scratch = Cnn | Residual
"""Networks that begin with random weights."""

Network = Scratch | Pretrained
"""Models with a training loop."""

FeatureBased = Kernel | Trees | Perceptron
"""Classifiers of handcrafted features."""

FORMER = Trees | Perceptron
"""Models of earlier versions: their runs open, and no more are trained."""


class Loss(Section):
    """The loss function.

    `kind`: cross-entropy, or focal (hard images count more, by `gamma`), or asymmetric (for labels with few
    positives: easy negatives count less, by `gamma`, and not at all below `margin`). `positive_weight` weighs the
    positives of each label: "balanced" as much as its negatives, "sqrt" the square root of that. `smoothing` moves
    the truth towards the uniform answer.
    """

    kind: Literal["cross-entropy", "focal", "asymmetric"] = "cross-entropy"
    gamma: Annotated[float, Field(ge=0)] = 2.0
    margin: Below1 = 0.05
    positive_weight: Literal["none", "sqrt", "balanced"] = "none"
    smoothing: Below1 = 0.0


class Augment(Section):
    """Random augmentation of training images, drawn again in each epoch.

    `rotation` in degrees either way, `zoom` and `shift` as shares of the side, `brightness` as a share of the full
    range, `contrast` as a factor about 1; flips with probability one half. `only_copies` changes only the copies
    that balance a class, as the study did.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    zoom: Below1 = 0.0
    shift: Below1 = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    brightness: Share = 0.0
    contrast: Below1 = 0.0
    only_copies: bool = False


class Train(Section):
    """How a network is trained.

    `learning_rate` is the peak; it rises over `warmup_epochs` and, with the cosine schedule, falls to zero.
    `patience` epochs without a better headline metric on val end the run; `keep` says which epoch's weights stay.
    `balance`: "copies" repeats images of minority classes until each has `balance_target` images ("mean" or "max" of
    the class counts), "weights" weighs the loss by inverse class frequency (mean weight 1), "sampling" draws every
    class equally often. `precision` is that of the products inside the network; weights and scores stay float32.
    `stopped_after` is written by a run of a plan that the clock ended before its last epoch, so that its recipe
    repeats it; it is no part of the recipe's hash. `final` is what the folds of a cross-validation become: an
    "ensemble", the mean of the logits of all their models, or with "refit" the recipe trained once more, on all of
    train and val, for the median of their best epochs.
    """

    epochs: Count = 30
    batch_size: Count = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    patience: Count | None = None
    keep: Literal["best", "last"] = "best"
    balance: Literal["none", "copies", "weights", "sampling"] = "none"
    balance_target: Literal["mean", "max"] = "mean"
    precision: Literal["float32", "bfloat16"] = "float32"
    stopped_after: Count | None = None
    final: Literal["ensemble", "refit"] = "ensemble"
    loss: Loss = Loss()
    augment: Augment = Augment()


class Planned(Section):
    """The network, and its training, that a plan would choose for the data within `budget` seconds, on a machine of
    2.7e11 multiplications and additions a second, as two cores have: so the choice is the same on every machine."""

    backbone: Literal["planned"] = "planned"
    budget: Annotated[float, Field(gt=0)] = 300.0


class Member(Section):
    """One model of an ensemble: `weight` is how much its scores count; a network is trained as `train` says, one that
    is planned as its plan says."""

    model: Annotated[
        Linear | Kernel | Trees | Perceptron | Encoded | Cnn | Residual | Planned, Field(discriminator="backbone")
    ]
    weight: Annotated[float, Field(ge=0)] = 1.0
    train: Train = Train()


class Ensemble(Section):
    """Several models that answer together: their log-probabilities, or log-odds of each finding, are added by weight.
    Networks that are alike begin with other random weights each.

    `weigh` "val": the weights given count as much as `worth` images of val, and val decides the rest; "given": they
    stay.
    """

    backbone: Literal["ensemble"] = "ensemble"
    members: Annotated[tuple[Member, ...], Field(min_length=1, max_length=20)] = (
        Member(model=Kernel()),
        Member(model=Linear(), weight=0.0),
    )
    weigh: Literal["val", "given"] = "val"
    worth: Annotated[float, Field(ge=0)] = 100.0


MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}"


class Elsewhere(Section):
    """No model of Penlight: predictions that other software made were scored. `name` is what their model is called,
    `predictions` a hash of their numbers."""

    backbone: Literal["elsewhere"] = "elsewhere"
    name: Annotated[str, Field(pattern=f"^{MODEL_NAME}$")] = "predictions"
    predictions: Annotated[str, Field(pattern=r"^([0-9a-f]{16})?$")] = ""


Model = Annotated[
    Majority
    | Linear
    | Kernel
    | Trees
    | Perceptron
    | Cnn
    | Residual
    | Pretrained
    | Ensemble
    | Encoded
    | Own
    | Estimator
    | Elsewhere,
    Field(discriminator="backbone"),
]


class Decide(Section):
    """How probabilities become predicted labels; calibration, thresholds and cut points are found on val, and on
    the answers
    to train of models that have not seen the image, where training makes such.

    `rule` for grades: the most probable; the expected one rounded; or with "kappa" the expected one cut at points
    found for the best quadratic weighted kappa. `thresholds` for binary and multi-label tasks;
    `wanted` is the threshold itself with "fixed", the rate to reach with "sensitivity" and "specificity".
    `calibration` corrects the probabilities: "temperature" by one number (per label, where labels are not exclusive),
    "isotonic" by a monotone map, which needs a large val. `prevalence` is that of the people whom the answers are
    meant for: predictive values are given at it too. `coverage` is how often the truth is wanted among the answers
    that are possible.
    `fallback` "linear" keeps the linear baseline as the model where the recipe's own is not better on val by more
    than two standard errors of their difference, "linear-if-better" only where the baseline is better on val, for a
    model that cross-validation on train has chosen; where val chose the epoch, the last epoch is judged.
    """

    rule: Literal["argmax", "expected", "kappa"] = "argmax"
    thresholds: Literal["fixed", "f1", "youden", "sensitivity", "specificity"] = "fixed"
    wanted: Annotated[float, Field(gt=0, le=1)] | None = None
    calibration: Literal["temperature", "isotonic", "none"] = "temperature"
    prevalence: Annotated[float, Field(gt=0, lt=1)] | None = None
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    fallback: Literal["none", "linear", "linear-if-better"] = "none"


class Recipe(Section):
    """Everything that decides a training run but its seed."""

    data: Data = Data()
    model: Model = Cnn()
    train: Train = Train()
    decide: Decide = Decide()

    @property
    def hash(self) -> str:
        """Hex digest of all values that were asked for, defaults included; equal recipes have equal hashes on every
        machine, and a run that the clock ended early has that of its recipe."""
        canonical = json.dumps(_asked_for(self.model_dump(mode="json")), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def model_name(self) -> str:
        """What the model is called: its backbone, or the name that predictions made elsewhere were given."""
        return self.model.name if isinstance(self.model, Elsewhere) else self.model.backbone

    @property
    def called(self) -> str:
        """What the model is called where a person reads it: one that the user handed in by its function or class."""
        return getattr(self.model, "name", "") or self.model.backbone

    def of_kept(self, backbone: str) -> "Recipe":
        """Give the recipe of the model that a run kept: this one, or with the baseline of that name in the place of
        its own model."""
        model = self.model if backbone == self.model.backbone else BASELINE_MODELS.get(backbone, self.model)
        return self.model_copy(update={"model": model})

    @property
    def has_encoder(self) -> bool:
        """Say whether its model, or a member of its ensemble, is a probe on an encoder."""
        members = self.model.members if isinstance(self.model, Ensemble) else ()
        return any(isinstance(model, Encoded) for model in (self.model, *(member.model for member in members)))

    def with_model(self, change: Callable[[Any], Any]) -> "Recipe":
        """Give the recipe with its model changed, or each member of its ensemble."""
        model = self.model
        if isinstance(model, Ensemble):
            members = tuple(m.model_copy(update={"model": change(m.model)}) for m in model.members)
            return self.model_copy(update={"model": model.model_copy(update={"members": members})})
        return self.model_copy(update={"model": change(model)})

    def to_toml(self) -> str:
        """Give all values, defaults included, as TOML; what is None is left out, and how predictions that were made
        elsewhere were trained."""
        unknown = {"train"} if isinstance(self.model, Elsewhere) else None
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True, exclude=unknown))


def recipe_from_toml(text: str, where: str = "the recipe") -> Recipe:
    """Read a recipe; what the text leaves out takes its default. RecipeError names the key that is wrong."""
    return recipe_from_dict(parse_toml(text, where, error=RecipeError), where)


def recipe_from_dict(values: Mapping[str, Any], where: str) -> Recipe:
    """Read a recipe from plain values; RecipeError, naming `where`, says what is wrong."""
    try:
        # Values come from TOML or a command line: lists for tuples and 1 for 1.0 are what people mean.
        return TypeAdapter(Recipe).validate_json(json.dumps(values))
    except ValidationError as error:
        problems = "; ".join(_problem(e) for e in error.errors()[:3])
        raise RecipeError(f"In {where}, {problems}.") from error
    except TypeError as error:
        raise RecipeError(f"In {where}, a value is of a kind that recipes do not have: {error}.") from error


def is_own_reference(text: str) -> bool:
    """Say whether a text names a function in a file of Python, as FILE.py:NAME."""
    place, found, name = text.rpartition(":")
    return bool(found) and place.endswith(".py") and name.isidentifier()


def require_trainable(recipe: Recipe) -> Recipe:
    """Raise RecipeError for a recipe of predictions that were made elsewhere, or of a model of earlier versions."""
    if isinstance(recipe.model, Elsewhere):
        raise RecipeError(
            f"The recipe is of predictions that other software made, of {recipe.model.name}; nothing can be trained.",
            "Choose a model, as with --set model.backbone=cnn, or score predictions with `penlight score`.",
        )
    members = [member.model for member in recipe.model.members] if isinstance(recipe.model, Ensemble) else []
    for model in (recipe.model, *members):
        if isinstance(model, FORMER):
            raise RecipeError(
                f"The model {model.backbone} is of an earlier version; its runs open, but no more are trained.",
                "Choose the kernel on the same features, which scores as well: --set model.backbone=kernel",
            )
    return recipe


def decide_from(values: Decide | Mapping[str, Any] | None) -> Decide:
    """Read how to decide from its options by name; RecipeError says what is wrong."""
    return values if isinstance(values, Decide) else recipe_from_dict({"decide": dict(values or {})}, "decide").decide


_MAY_BE_NONE = {"model.strength", "train.patience", "train.stopped_after", "decide.wanted", "decide.prevalence"}


def with_overrides(recipe: Recipe, assignments: Iterable[Override]) -> Recipe:
    """Apply `section.key=value` assignments, or pairs of a key and a value as JSON has it. A value that is written in
    an assignment is read as TOML, and as bare text where it is none.

    Changing `model.backbone` starts that model from its defaults. RecipeError names a key or value that is wrong.
    """
    values: dict[str, Any] = recipe.model_dump(mode="json", exclude_none=True)
    for assignment in assignments:
        key, value = _assigned(assignment) if isinstance(assignment, str) else assignment
        *sections, name = key.split(".")
        if not sections or sections[0] not in Recipe.model_fields:
            known = ", ".join(Recipe.model_fields)
            raise RecipeError(
                f"'{key}' is not a key of a recipe.", f"Keys start with one of {known}, as train.epochs."
            )
        if key == "model.backbone":
            if isinstance(value, str) and is_own_reference(value):
                raise RecipeError(f"{value} names a network of your own, which only `penlight train` takes.")
            values["model"] = {"backbone": value}
            continue
        section = values
        for part in sections:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise RecipeError(f"'{key}' is not a key of a recipe: '{part}' has no keys of its own.")
        section[name] = value
        if value in ("none", None) and key in _MAY_BE_NONE:
            del section[name]
    return recipe_from_dict(values, "the override")


def key_of(override: Override) -> str:
    """Give the key of an override."""
    return override.partition("=")[0].strip() if isinstance(override, str) else override[0]


def _assigned(assignment: str) -> tuple[str, Any]:
    key, found, text = (part.strip() for part in assignment.partition("="))
    if not found:
        raise RecipeError(f"'{assignment}' is not an override.", "Write it as section.key=value.")
    with contextlib.suppress(PenlightError):
        return key, parse_toml(f"v = {text}", "A value")["v"]
    return key, text


def differences(recipe: Recipe) -> dict[str, tuple[Any, Any]]:
    """Give what a recipe changes: dotted key -> (default, value), the default being that of the same backbone."""
    plain = Recipe(model=type(recipe.model).model_validate({"backbone": recipe.model.backbone}))
    default, this = (_flat(r.model_dump(mode="json")) for r in (plain, recipe))
    return {key: (default.get(key), value) for key, value in this.items() if default.get(key) != value}


_ADDED: dict[str, Any] = {"decay": 1.0, "gradual": False, "head_on": "images", "final": "ensemble"}
"""Keys that recipes did not always have, with what they meant without them: equal recipes keep their hash."""


def _asked_for(values: Any) -> Any:
    """Leave out what a run writes into its recipe, wherever it stands, and added keys that change nothing."""
    if isinstance(values, dict):
        return {
            key: _asked_for(value)
            for key, value in values.items()
            if key != "stopped_after" and not (key in _ADDED and value == _ADDED[key])
        }
    return [_asked_for(value) for value in values] if isinstance(values, list) else values


_BACKBONES = (
    *(
        "majority",
        "linear",
        "kernel",
        "trees",
        "perceptron",
        "cnn",
        "residual",
        "planned",
        "ensemble",
        "own",
        "encoder",
    ),
    *("estimator", "elsewhere"),
    *get_args(Pretrained.model_fields["backbone"].annotation),
)


def _problem(error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    # A tagged union repeats its tag in the location; it is not part of the key.
    if len(location) > 1 and location[0] == "model" and location[1] in _BACKBONES:
        del location[1]
    return invalid_value(".".join(location), error)


def invalid_value(key: str, error: Mapping[str, Any]) -> str:
    """Say what pydantic found wrong with the value at a key."""
    if error["type"] == "extra_forbidden":
        names = {name for kind in _sections(Section) for name in kind.model_fields}
        near = difflib.get_close_matches(key.rpartition(".")[2], sorted(names), n=3, cutoff=0.7)
        return f"'{key}' is not a known key" + (f" (did you mean {' or '.join(near)}?)" if near else "")
    message = str(error["msg"])
    return f"'{key}' {message[0].lower()}{message[1:]} (got {shown(error['input'])})"


def _sections(kind: type[Section]) -> list[type[Section]]:
    return [kind, *(inner for own in kind.__subclasses__() for inner in _sections(own))]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out
