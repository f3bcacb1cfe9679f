"""Import of the optional libraries behind some metrics (the extra `evaluation`)."""

import importlib
from typing import Any

from jaxgan.core.errors import UserError

_PACKAGES = {"sklearn": "scikit-learn", "skimage": "scikit-image", "scipy": "scipy"}


def require(module: str, purpose: str) -> Any:
    """Imports `module` of scikit-learn, scikit-image or SciPy.

    Args:
        module: dotted module name, such as `sklearn.metrics`.
        purpose: what needs it, for the message.

    Returns:
        The module.

    Raises:
        UserError: if its package is not installed; names the extra to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        raise UserError(
            f"{purpose} needs {_PACKAGES.get(top, top)}, which is not installed: "
            "pip install 'jaxgan[evaluation]'"
        ) from error
