"""A benchmark's command sets up JAX for a process of its own."""

import jax
import pytest

CACHE = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture
def own_cache(tmp_path):
    """The compilation cache of a command, put back after the test."""
    before = {name: getattr(jax.config, name) for name in CACHE}
    yield f"--compilation_cache={tmp_path / 'compiled'}"
    for name, value in before.items():
        jax.config.update(name, value)
    jax.experimental.compilation_cache.compilation_cache.reset_cache()
