"""Import of the optional libraries behind some metrics (the extra `evaluation`)."""

from typing import Any

from jaxgan.core import optional


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
    return optional.require(module, purpose, "evaluation")
