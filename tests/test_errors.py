"""Out-of-memory errors are known for what they are, whoever raises them."""

import pytest

from penlight.errors import is_out_of_memory


class ResourceExhaustedError(Exception):
    """As TensorFlow's."""


class JaxRuntimeError(RuntimeError):
    """As JAX's, for anything that goes wrong on a device."""


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (MemoryError(), True),
        (ResourceExhaustedError("OOM when allocating tensor"), True),
        (JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 40000000000000 bytes."), True),
        (JaxRuntimeError("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory"), True),
        (JaxRuntimeError("INTERNAL: failed to load a kernel"), False),
        (ValueError("the label 'out of memory' is unknown"), False),
    ],
)
def test_a_want_of_memory_is_told_from_other_errors(error: Exception, known: bool) -> None:
    assert is_out_of_memory(error) is known


@pytest.mark.jax
def test_jax_raises_what_is_expected_of_it() -> None:
    import jax

    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jax.numpy.zeros((10**6, 10**8)).block_until_ready()
    assert is_out_of_memory(caught.value)
