"""A network that a user hands in: a function that builds a Keras model, or a model.

Whatever it ends with, training gets logits: a last softmax or sigmoid is taken off. Code of a user runs only where
the user names it in a call or a command; a run keeps its text, which is never run again by itself.
"""

import hashlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from penlight.errors import PenlightError, RecipeError, TrainingError, first_line, is_out_of_memory
from penlight.models.backend import graph_of, load_keras
from penlight.recipes import Own
from penlight.recipes import is_own_reference as is_reference
from penlight.tasks import Task

EXPECTED = (
    "build(input_shape, n_outputs) returns a keras.Model from images (height, width, channels), float32 of 0 to 255, "
    "to n_outputs logits; a softmax or sigmoid after them is taken off."
)
LARGEST_SOURCE = 1 << 20
"""Characters of the source of a network that a run keeps."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class BuiltNetwork:
    """A network for one seed: `network` gives logits; `ending` is the activation that was taken off, "" for none;
    `optimizer` and `loss` are those that it was compiled with, None where it was not."""

    network: Any
    ending: str
    optimizer: Any = None
    loss: Any = None


@dataclass(frozen=True)
class OwnNetwork:
    """A network that a user hands in: `build(input_shape, n_outputs)` makes it, `section` is what the recipe says of
    it, `source` the text that the run keeps, of Python or, where there is none, the configuration of the model."""

    build: Callable[[Shape, int], Any]
    section: Own
    source: str = ""
    callbacks: Sequence[Any] = ()

    @property
    def file(self) -> str:
        """The name of the file of a run that keeps the source."""
        return "network.json" if self.source.startswith("{") else "network.py"

    def checked(self, task: Task, shape: Shape) -> "OwnNetwork":
        """Build the network once, before anything is written, and say in the recipe what it is. RecipeError, in a
        sentence, where it does not build or does not fit."""
        built = self.built(task, shape, 0)
        source = self.source or _config_of(built.network)
        if len(source) > LARGEST_SOURCE:
            raise RecipeError(
                f"The source of {self.section.name} has {len(source):,} characters, more than {LARGEST_SOURCE:,}.",
                "Keep data and weights in files of their own.",
            )
        known: dict[str, Any] = {
            "optimizer": described(built.optimizer) or None,
            "loss": described(built.loss) or None,
        }
        known |= {"sha256": _hash(source), "structure": _hash(_structure(built.network))}
        return replace(self, source=source, section=self.section.model_copy(update=known))

    def built(self, task: Task, shape: Shape, seed: int) -> BuiltNetwork:
        """Build the network of a seed. RecipeError if it raises, or gives no network from images of `shape` to the
        task's logits."""
        keras, name = load_keras(), self.section.name
        keras.utils.set_random_seed(seed)
        with _names_from_start():
            try:
                model = self.build(shape, task.n_logits)
                if not isinstance(model, keras.Model):
                    raise RecipeError(f"{name} returned a {type(model).__name__} instead of a keras.Model.", EXPECTED)
                if getattr(model, "_is_trained_elsewhere", False):
                    # Its weights are those that another seed ended with.
                    raise TrainingError(f"{name} returned the same model again.", "Build a new one in it each time.")
                model._is_trained_elsewhere = True
                network = _functional(name, model, shape)
                _check_shapes(name, network, shape, task)
                bare, ending = _without_ending(name, network)
            except Exception as error:
                if isinstance(error, PenlightError) or is_out_of_memory(error):
                    raise
                raise RecipeError(f"{name} failed with {said(error)}.", EXPECTED) from error
        if not bare.trainable_variables:
            raise RecipeError(f"{name} has no weights to train.", "Give it a layer with weights, or unfreeze one.")
        if not model.compiled:
            return BuiltNetwork(bare, ending)
        return BuiltNetwork(bare, ending, _copied_optimizer(model.optimizer), model.loss)


def own_network(given: Any, *, fresh: bool = False, callbacks: Sequence[Any] = ()) -> OwnNetwork:
    """Take a function, a `keras.Model`, or "FILE.py:NAME", whose file is then run.

    Of a model each seed and fold trains a copy, which begins with its weights unless `fresh`. RecipeError for
    anything else.
    """
    keras = load_keras()
    callbacks = [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks)
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise RecipeError(f"A {type(callback).__name__} is no keras.callbacks.Callback.")
    known: dict[str, Any] = {"callbacks": tuple(type(callback).__name__ for callback in callbacks)}
    if isinstance(given, str | Path):
        given, known["name"], text = _from_file(str(given))
        if not isinstance(given, keras.Model):
            _require_function(given)
            return OwnNetwork(given, Own(**known), text, callbacks)
    if isinstance(given, keras.Model):
        own = Own(name=given.name, fresh=fresh).model_copy(update=known)
        return OwnNetwork(lambda shape, n: _copy(given, fresh), own, _kept_of(given, fresh), callbacks)
    _require_function(given)
    if fresh:
        raise RecipeError("fresh=True is for a keras.Model; a function builds new weights for each seed.")
    name = getattr(given, "__name__", type(given).__name__)[:200]
    return OwnNetwork(given, Own(name=name).model_copy(update=known), _source_of(given), callbacks)


def _require_function(given: Any) -> None:
    if any(kind.__module__.startswith("torch.") for kind in type(given).__mro__):
        raise RecipeError(
            f"{type(given).__name__} is a PyTorch module, which Penlight does not train.",
            "Train it there, and score what it predicts with pl.score.",
        )
    if isinstance(given, type) or not callable(given):
        what = f"The class {given.__name__}" if isinstance(given, type) else f"A {type(given).__name__}"
        raise RecipeError(f"{what} is no network.", EXPECTED)


def _from_file(reference: str) -> tuple[Any, str, str]:
    """Run FILE.py of "FILE.py:NAME"; give what it calls NAME, the reference without folders, and the text."""
    place, _, name = reference.rpartition(":")
    file = Path(place).expanduser()
    if not is_reference(reference) or not file.is_file():
        raise RecipeError(f"There is no file {place or reference}.", "Name the network as FILE.py:NAME.")
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} cannot be read as text: {first_line(error)}.") from error
    made = vars(_imported(file, text))
    if name not in made:
        known = [
            own for own, value in made.items() if inspect.isfunction(value) and value.__module__ == made["__name__"]
        ]
        raise RecipeError(f"{file} has no {name}.", f"It has {', '.join(known)}." if known else EXPECTED)
    return made[name], f"{file.name}:{name}", text


def _imported(file: Path, text: str) -> ModuleType:
    # A name that no module of a library has; the file may be another one, or changed, each time.
    module = ModuleType(f"penlight_own_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    # As for a script, what lies beside the file can be imported by it.
    sys.path.insert(0, str(file.resolve().parent))
    try:
        # What runs is the text that is kept, not what Python compiled of the file before.
        exec(compile(text, str(file), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        raise RecipeError(f"{file} failed with {said(error)}{line}.") from error
    finally:
        sys.path.pop(0)
    return module


def _source_of(build: Any) -> str:
    """Give the text of the file of a function, as the function may use more of it, or its own where it is of a
    notebook; empty where there is neither."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(build))
        if file is not None and Path(file).is_file():
            return Path(file).read_text("utf-8")
        return inspect.getsource(build)
    except (OSError, TypeError, UnicodeDecodeError):
        return ""


def _kept_of(model: Any, fresh: bool) -> str:
    """Give a model's configuration as JSON, and where its weights count, their hash."""
    weights = b"" if fresh else b"".join(array.tobytes() for array in model.get_weights())
    said = f'"weights_sha256": "{hashlib.sha256(weights).hexdigest()}",\n' if not fresh else ""
    return f'{{{said}"model": {_config_of(model)}}}\n'


def _config_of(model: Any) -> str:
    """Give the configuration of a model as Keras writes it; of layers that have none, what they are called."""
    try:
        return str(model.to_json(indent=2))
    except Exception:  # whatever `get_config` of a layer of anybody raises
        return json.dumps({"layers": _structure(model).splitlines()}, indent=2)


def _structure(model: Any) -> str:
    """Say what a network is made of, a line for each layer: its class, options and shapes, without names."""
    lines = []
    for layer in model.layers:
        try:
            options = {key: value for key, value in layer.get_config().items() if key not in ("name", "layers")}
        except Exception:  # as above
            options = {}
        shapes = [tuple(weight.shape) for weight in layer.weights]
        lines.append(_ADDRESS.sub("", f"{type(layer).__name__} {json.dumps(options, default=repr)} {shapes}"))
        lines += [_structure(layer)] if isinstance(layer, load_keras().Model) else []
    return "\n".join(lines)


def said(error: BaseException) -> str:
    """Say in a line what a user's code raised; of TensorFlow's report of it the last line, which has the error."""
    text = str(error).strip()
    if text.startswith("in user code:"):
        return text.splitlines()[-1].strip()[:200].rstrip(".")
    return _COLOURS.sub("", f"{type(error).__name__}: {first_line(error)}")


def described(given: Any) -> str:
    """Say an optimizer or a loss by its name, an optimizer with its learning rate."""
    if given is None:
        return ""
    name = given if isinstance(given, str) else getattr(given, "__name__", type(given).__name__)
    rate = getattr(given, "_learning_rate", None)
    if rate is None or not hasattr(given, "learning_rate"):
        return str(name)[:200]
    fixed = hasattr(rate, "assign")
    return f"{name}, learning rate {float(given.learning_rate):.3g}" if fixed else f"{name}, {type(rate).__name__}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _names_from_start() -> Iterator[None]:
    """Have Keras number the layers of a network from 1, whatever was built in the process before, so that the same
    network is written as the same bytes."""
    from keras.src.backend.common import global_state

    key = "object_name_uids"
    before = global_state.get_global_attribute(key)
    global_state.set_global_attribute(key, None)
    try:
        yield
    finally:
        global_state.set_global_attribute(key, before)


def _copy(model: Any, fresh: bool) -> Any:
    keras, graph = load_keras(), graph_of(model)
    try:
        # Not as it was compiled: a loss or metric of the user's cannot be copied, and need not be.
        copied = keras.models.clone_model(keras.Model(graph.inputs, graph.outputs, name=model.name))
        if not fresh:
            copied.set_weights(model.get_weights())
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise RecipeError(
            f"The model {model.name} cannot be copied for each seed: it is a subclass of keras.Model, was never "
            "built, or has layers without get_config.",
            "Hand in a function that builds it: def build(input_shape, n_outputs): ...",
        ) from error
    if model.compiled:
        copied.compile(_copied_optimizer(model.optimizer), loss=model.loss)
    return copied


def _copied_optimizer(optimizer: Any) -> Any:
    return type(optimizer).from_config(optimizer.get_config())


def _functional(name: str, model: Any, shape: Shape) -> Any:
    """Give a functional network of float32 images: a sequential model by its layers, a subclass as one layer."""
    keras = load_keras()
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *shape))
    if (graph := graph_of(model)) is not None:
        if (counts := (len(graph.inputs), len(graph.outputs))) != (1, 1):
            raise RecipeError(f"{name} has {counts[0]} inputs and {counts[1]} outputs instead of one each.", EXPECTED)
        return keras.Model(graph.inputs[0], graph.outputs[0], name=model.name)
    images = keras.Input(shape, name="image")
    return keras.Model(images, model(images), name=model.name)


def _check_shapes(name: str, network: Any, shape: Shape, task: Task) -> None:
    came = tuple(network.inputs[0].shape[1:])
    if len(came) != 3 or any(own not in (None, wanted) for own, wanted in zip(came, shape, strict=True)):
        raise RecipeError(f"{name} takes inputs of shape {came}; images here are {shape}.", EXPECTED)
    output = network.outputs[0]
    if tuple(output.shape[1:]) != (task.n_logits,):
        raise RecipeError(
            f"{name} gives outputs of shape {tuple(output.shape[1:])}; {_wanted(task)}.",
            EXPECTED,
        )
    if output.dtype != "float32":
        raise RecipeError(
            f"{name} gives {output.dtype}; float32 is expected.", "Give its last layer dtype='float32'."
        )


def _wanted(task: Task) -> str:
    """Say what outputs a task needs."""
    n, labels = task.n_logits, ", ".join(task.labels[:5]) + (", ..." if len(task.labels) > 5 else "")
    if n == len(task.labels):
        return f"{n} are needed, one for each of {labels}"
    if n == 1:
        return f"1 is needed, the logit of {task.labels[1]} against {task.labels[0]}"
    return f"{n} are needed, one for each step between {labels}"


def _without_ending(name: str, network: Any) -> tuple[Any, str]:
    """Take a last softmax or sigmoid off; the layers before it, and their weights, are those of the network."""
    keras = load_keras()
    last, is_inside = network.outputs[0]._keras_history.operation, False
    while (graph := graph_of(last)) is not None:
        last, is_inside = graph.outputs[0]._keras_history.operation, True
    kind = type(last).__name__
    ending = (
        kind.lower() if kind in ("Softmax", "Sigmoid") else getattr(getattr(last, "activation", None), "__name__", "")
    )
    if ending not in ("softmax", "sigmoid"):
        _require_logits(name, network)
        return network, ""
    if hasattr(last, "activation"):
        last.activation = keras.activations.linear
        return keras.Model(network.inputs[0], network.outputs[0], name=network.name), ending
    if is_inside:
        raise RecipeError(f"{name} ends with a {ending} inside a model in it.", f"Take the {ending} out.")
    return keras.Model(network.inputs[0], last._inbound_nodes[0].input_tensors[0], name=network.name), ending


def _require_logits(name: str, network: Any) -> None:
    """Raise RecipeError for a network whose softmax cannot be seen, as it is inside a layer or a function."""
    shape = [side or 8 for side in network.inputs[0].shape[1:]]
    noise = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.float32)
    found = np.asarray(load_keras().ops.convert_to_numpy(network(noise, training=False)))
    if found.shape[1] > 1 and (found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=1e-4):
        raise RecipeError(f"{name} gives probabilities by a softmax that cannot be taken off.", "Return its logits.")
