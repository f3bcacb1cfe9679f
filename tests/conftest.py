"""Eight simulated devices, a shared compilation cache, one key."""

import os
import pathlib
import tempfile
from importlib import metadata

# Before JAX is imported: cheap compilation, and a cache that child processes share.
# The last two flags halve the time of compiling; a jaxlib that does not know them dies.
FLAGS = ["--xla_backend_optimization_level=0"]
if metadata.version("jaxlib").startswith("0.10."):
    FLAGS += ["--xla_cpu_use_fusion_emitters=false"]
    FLAGS += ["--xla_cpu_parallel_codegen_split_count=1"]
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    os.path.join(tempfile.gettempdir(), f"jaxgan-test-cache-{os.getuid()}"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_num_cpu_devices", 8)

REAL_DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs():
    """A process that keeps the programs of all modules slows to half its speed."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of small real data sets; tests that need it skip without it."""
    if not REAL_DATA.is_dir():
        pytest.skip("the optional real data sets are absent (../shared/data)")
    return REAL_DATA


def pytest_configure(config):
    config.option.loadscopereorder = False  # of pytest-xdist: keep the order below


def pytest_collection_modifyitems(items):
    """The contract's tests of one case follow one another: they share its compiled
    steps. The longest files are the last by name, and come first: a worker that gets
    one at the end keeps the other waiting."""
    contract = [item for item in items if "test_contract" in item.nodeid]
    cases = {item: item.name.partition("[")[2] for item in contract}
    first = {case: i for i, case in enumerate(dict.fromkeys(cases.values()))}
    ordered = iter(sorted(contract, key=lambda item: first[cases[item]]))
    items[:] = [next(ordered) if item in cases else item for item in items]
    place = {path: i for i, path in enumerate(dict.fromkeys(x.path for x in items))}
    items.sort(key=lambda item: -place[item.path])
