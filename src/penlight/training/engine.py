"""Many training steps in one call, compiled, with the batches as they are stored: one small function per backend.

This is the one place that takes gradients for training. k steps, B images, C labels, K logits.

With TensorFlow each batch is computed as two halves that do not wait for one another, each by kernels of half the
cores (`models.backend` sets those), and their gradients are added. A kernel on all cores ends with the slower of
them, many hundred times a step. Batch normalisation sees a half at a time, as in any data-parallel training.

With JAX a batch is shared out among the devices there are (`training.devices`); batch normalisation sees all of it.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.models import load_keras

Tensor = Any


@dataclass(frozen=True)
class Block:
    """The batches of k steps: images (k, B, H, W, C) uint8 or features (k, B, F)
    float32, y (k, B, C) float32, weight (k, B) float32, strength
    (k, B) float32 of augmentation."""

    images: NDArray[np.generic]
    y: NDArray[np.float32]
    weight: NDArray[np.float32]
    strength: NDArray[np.float32]


Steps = Callable[[Block], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Train on a block: gives the loss of each step (k,) and the logits of its images as they were seen (k, B, K)."""


def make_steps(
    network: Any,
    optimizer: Any,
    loss: Callable[[Tensor, Tensor], Tensor],
    change: Callable[[Tensor, Tensor], Tensor],
    seeds: Sequence[Any] = (),
) -> Steps:
    """Compile the training step of a network; `change` augments (B, H, W, C) float images by strength (B,), and draws
    from the state in `seeds`, which are Keras variables."""
    backend = load_keras().backend.backend()
    return _MAKERS[backend](network, optimizer, loss, change, seeds)


def _tensorflow_steps(network: Any, optimizer: Any, loss: Any, change: Any, seeds: Sequence[Any]) -> Steps:
    import tensorflow as tf

    variables = network.trainable_variables
    optimizer.build(variables)
    _fuse_normalisation(network)
    _fuse_adam(optimizer)
    _shorten_dropout(network)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def step(images: Tensor, y: Tensor, weight: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
        n, halves = tf.shape(images)[0], _halves(tf.shape(images)[0])
        total = tf.cast(tf.maximum(n, 2), tf.float32)
        parts = [half_step(images[p], y[p], weight[p], strength[p], total) for p in halves]
        values, slopes, seen = zip(*parts, strict=True)
        optimizer.apply([tf.add_n(slope) for slope in zip(*slopes, strict=True)], variables)
        return tf.add_n(values), tf.concat(seen, axis=0)[:n]

    def half_step(images: Tensor, y: Tensor, weight: Tensor, strength: Tensor, total: Tensor) -> Any:
        seen = change(tf.cast(images, tf.float32), strength)
        with tf.GradientTape() as tape:
            logits = network(seen, training=True)
            value = tf.reduce_sum(weight * loss(y, logits)) / total + sum(network.losses) / 2
        return value, tape.gradient(value, variables), logits

    shape, dtype = network.input_shape[1:], _stored_type(network)
    signature = [
        tf.TensorSpec((None, None, *shape), dtype),
        tf.TensorSpec((None, None, None), tf.float32),
        tf.TensorSpec((None, None), tf.float32),
        tf.TensorSpec((None, None), tf.float32),
    ]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def steps(images: Tensor, y: Tensor, weight: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
        k = tf.shape(images)[0]
        values = tf.TensorArray(tf.float32, k)
        seen = tf.TensorArray(tf.float32, k)
        for i in tf.range(k):
            value, logits = step(images[i], y[i], weight[i], strength[i])
            values = values.write(i, value)
            seen = seen.write(i, logits)
        return values.stack(), seen.stack()

    def run(block: Block) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        values, seen = steps(*(tf.constant(a) for a in (block.images, block.y, block.weight, block.strength)))
        return values.numpy(), seen.numpy()

    return run


def _halves(n: Tensor) -> list[slice]:
    """Cut a batch in two; a single image is in both."""
    import tensorflow as tf

    return [slice(0, tf.maximum(n // 2, 1)), slice(n // 2, n)]


Forward = Callable[[NDArray[np.generic]], NDArray[np.float32]]


@functools.lru_cache(maxsize=4)
def make_forward(network: Any) -> Forward:
    """Compile the way of a batch of images (B, H, W, C) uint8, or features (B, F) float32, to logits (B, K); kept for
    the networks asked for last."""
    return _FORWARDS[load_keras().backend.backend()](network)


def _tensorflow_forward(network: Any) -> Forward:
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), _stored_type(network))]

    @tf.function(input_signature=signature, autograph=False)  # type: ignore[untyped-decorator]
    def forward(images: Tensor) -> Tensor:
        n = tf.shape(images)[0]
        parts = [network(tf.cast(images[half], tf.float32), training=False) for half in _halves(n)]
        return tf.concat(parts, axis=0)[:n]

    return lambda images: np.asarray(forward(tf.constant(images)))


def _stored_type(network: Any) -> str:
    """Images are stored as uint8, features of a frozen network as float32."""
    return "uint8" if len(network.input_shape) == 4 else "float32"


def _fuse_normalisation(network: Any) -> None:
    """Compute batch normalisation in training by TensorFlow's one fused operation instead of Keras' seven.

    The numbers are the same within rounding, and what is saved is Keras' own layer; the step of a small network is
    a third faster on a CPU. Each half of a batch moves the statistics, by the root of the momentum.
    """
    import tensorflow as tf

    keras = load_keras()

    def fused(layer: Any) -> Callable[..., Any]:
        plain, momentum = layer.call, layer.momentum**0.5

        def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            if not (training and layer.trainable):
                return plain(inputs, training=training, mask=mask)
            out, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs, layer.gamma.value, layer.beta.value, epsilon=layer.epsilon, is_training=True
            )
            # The operation gives the unbiased variance; Keras keeps the biased one.
            count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], tf.float32)
            for held, new in ((layer.moving_mean, mean), (layer.moving_variance, variance * (count - 1) / count)):
                held.assign(held * momentum + new * (1 - momentum))
            return out

        return call

    for layer in network.layers:
        plain = type(layer) is keras.layers.BatchNormalization and layer.scale and layer.center
        if plain and len(layer.output.shape) == 4 and layer.axis in (-1, 3) and layer.compute_dtype == "float32":
            layer.call = fused(layer)


def _shorten_dropout(network: Any) -> None:
    """Decide what dropout keeps by 16 random bits a value instead of 32: drawing them is most of what it costs.

    The rate is met to one part in 65,536, and what is kept is scaled by the exact share.
    """
    import tensorflow as tf

    keras = load_keras()

    def short(layer: Any) -> Callable[..., Any]:
        plain = layer.call
        kept = round((1 - layer.rate) * 2**16)

        def call(inputs: Any, training: bool = False) -> Any:
            if not training:
                return plain(inputs, training=training)
            shape = tf.shape(inputs)
            size = tf.reduce_prod(shape)
            pairs = tf.random.stateless_uniform([(size + 1) // 2], layer.seed_generator.next(), None, None, tf.uint32)
            drawn = tf.reshape(tf.reshape(tf.bitcast(pairs, tf.uint16), [-1])[:size], shape)
            return inputs * tf.cast(drawn < tf.constant(kept, tf.uint16), inputs.dtype) * (2**16 / kept)

        return call

    for layer in network.layers:
        if type(layer) is keras.layers.Dropout and layer.noise_shape is None and 2**-16 < layer.rate < 1 - 2**-16:
            layer.call = short(layer)


def _fuse_adam(optimizer: Any) -> None:
    """Update each weight by TensorFlow's one Adam operation instead of Keras' twelve, which read the weights, the
    gradient and both moments again and again; the formula and what is saved are Keras' own.

    A dense layer of 400,000 weights costs as much in those as its convolutions, at a batch of 32.
    """
    import tensorflow as tf

    keras = load_keras()
    plain = getattr(type(optimizer), "update_step", None) is keras.optimizers.Adam.update_step
    if not plain or optimizer.amsgrad:
        return

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        step = tf.cast(optimizer.iterations.value + 1, tf.float32)
        index = optimizer._get_variable_index(variable)
        moments = optimizer._momentums[index], optimizer._velocities[index]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=moments[0].value.handle,
            v=moments[1].value.handle,
            beta1_power=optimizer.beta_1**step,
            beta2_power=optimizer.beta_2**step,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    optimizer.update_step = update_step


def _jax_steps(network: Any, optimizer: Any, loss: Any, change: Any, seeds: Sequence[Any]) -> Steps:
    import jax
    from keras import StatelessScope

    optimizer.build(network.trainable_variables)

    def value_of(trainable: Any, rest: Any, seed_values: Any, batch: Any) -> Any:
        images, y, weight, strength = batch
        # The augmentation's random state travels with the network's.
        with StatelessScope(state_mapping=list(zip(seeds, seed_values, strict=True))) as scope:
            seen = change(jax.numpy.asarray(images, "float32"), strength)
        seed_values = [scope.get_current_value(v) for v in seeds]
        logits, rest, extra = network.stateless_call(trainable, rest, seen, training=True, return_losses=True)
        return (weight * loss(y, logits)).mean() + sum(extra), (logits, rest, seed_values)

    gradient = jax.value_and_grad(value_of, has_aux=True)

    def step(state: Any, batch: Any) -> Any:
        trainable, rest, moments, seed_values = state
        (value, (logits, rest, seed_values)), slopes = gradient(trainable, rest, seed_values, batch)
        trainable, moments = optimizer.stateless_apply(moments, slopes, trainable)
        return (trainable, rest, moments, seed_values), (value, logits)

    scan = jax.jit(lambda state, block: jax.lax.scan(step, state, block))
    held = [network.trainable_variables, network.non_trainable_variables, optimizer.variables, list(seeds)]

    def run(block: Block) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        on = devices_for(block.weight.shape[1])
        state = tuple([on.whole(v.value) for v in group] for group in held)
        batches = tuple(on.shared(a, 1) for a in (block.images, block.y, block.weight, block.strength))
        state, (values, seen) = scan(state, batches)
        for group, new in zip(held, state, strict=True):
            for variable, value in zip(group, new, strict=True):
                variable.assign(value)
        return np.asarray(values), np.asarray(seen)

    return run


def _jax_forward(network: Any) -> Forward:
    import jax

    def answer(trainable: Any, rest: Any, images: Tensor) -> Tensor:
        logits, _ = network.stateless_call(trainable, rest, jax.numpy.asarray(images, "float32"), training=False)
        return logits

    forward = jax.jit(answer)

    def run(images: NDArray[np.generic]) -> NDArray[np.float32]:
        on = devices_for(len(images))
        groups = network.trainable_variables, network.non_trainable_variables
        state = ([on.whole(v.value) for v in group] for group in groups)
        return np.asarray(forward(*state, on.shared(images, 0)))

    return run


_MAKERS: dict[str, Callable[..., Steps]] = {"tensorflow": _tensorflow_steps, "jax": _jax_steps}
_FORWARDS: dict[str, Callable[[Any], Forward]] = {"tensorflow": _tensorflow_forward, "jax": _jax_forward}


@dataclass(frozen=True)
class Devices:
    """Devices that compute a batch together; `together` is a `keras.distribution.DataParallel`, None for one.

    The network is on every device, each computes its share of the batch, and what goes over images (gradients, batch
    normalisation) goes over all shares. So the numbers are those of one device within rounding.
    """

    together: Any = None

    def __len__(self) -> int:
        """Count the devices."""
        return 1 if self.together is None else int(self.together.num_model_replicas)

    def whole(self, values: Tensor) -> Tensor:
        """Put all of an array on every device."""
        return self._put(values, None)

    def shared(self, values: NDArray[np.generic], axis: int) -> Tensor:
        """Put an equal part of an array, cut along an axis, on each device."""
        return self._put(values, axis)

    def _put(self, values: Tensor, cut: int | None) -> Tensor:
        if self.together is None:
            return values
        distribution = load_keras().distribution
        axes = [self.together.batch_dim_name if axis == cut else None for axis in range(values.ndim)]
        layout = distribution.TensorLayout(axes, self.together.device_mesh)
        return distribution.distribute_tensor(values, layout)


@functools.cache
def devices_for(batch: int) -> Devices:
    """Take as many of JAX's devices as give equal shares of a batch of so many images."""
    distribution = load_keras().distribution
    there = distribution.list_devices()
    count = max(n for n in range(1, len(there) + 1) if batch % n == 0)
    if count == 1:
        return Devices()
    return Devices(distribution.DataParallel(devices=there[:count], auto_shard_dataset=False))
