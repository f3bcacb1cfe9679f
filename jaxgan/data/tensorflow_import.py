"""TensorFlow, imported late, told to keep off the accelerator."""

import functools
import importlib
import os
from typing import Any

from jaxgan.core.errors import UserError


@functools.cache
def tensorflow() -> Any:
    """The module `tensorflow`.

    Raises:
      UserError: if it is not installed.
    """
    module = _import("tensorflow", "reading image files through tf.data")
    for kind in ("GPU", "TPU"):
        module.config.set_visible_devices([], kind)
    return module


def tensorflow_datasets() -> Any:
    """The module `tensorflow_datasets`.

    Raises:
      UserError: if it is not installed.
    """
    return _import("tensorflow_datasets", "a source of the kind tfds:")


def _import(name: str, what: str) -> Any:
    # TensorFlow only reads and decodes here: it need not announce its CPU kernels.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{what} needs {name}, which is not installed ({error}); "
            "pip install 'jaxgan[train]'"
        ) from error
