"""Import of libraries that only an extra of the package installs."""

import importlib
from typing import Any

from jaxgan.core.errors import UserError

_PACKAGES = {"skimage": "scikit-image", "sklearn": "scikit-learn"}


def require(module: str, purpose: str, extra: str) -> Any:
    """Imports an optional module where it is used.

    Args:
        module: Dotted module name, such as `scipy.ndimage`.
        purpose: What needs it, for the message.
        extra: The extra of this package that installs it.

    Returns:
        The module.

    Raises:
        UserError: If it is not installed; names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        raise UserError(
            f"{purpose} needs {_PACKAGES.get(top, top)}, which is not installed: "
            f"pip install 'jaxgan[{extra}]'"
        ) from error
