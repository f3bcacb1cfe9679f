"""What devices can do at most, from their makers' data sheets: nominal, dense."""

from __future__ import annotations

from typing import NamedTuple


class Peak(NamedTuple):
    """The ceiling of one device.

    Attributes:
      matmul: TFLOP/s of matrix products, by the step's dtype.
      bandwidth: TB/s of its memory.
      units: which of its units that is, by dtype.
    """

    matmul: dict[str, float]
    bandwidth: float
    units: dict[str, str]


_TENSOR = {"bfloat16": "bf16 dense", "float32": "TF32 dense"}
_MXU = {"bfloat16": "bf16", "float32": "bf16 passes"}


def _nvidia(bfloat16: float, tf32: float, bandwidth: float) -> Peak:
    return Peak({"bfloat16": bfloat16, "float32": tf32}, bandwidth, _TENSOR)


def _tpu(bfloat16: float, bandwidth: float) -> Peak:
    # At JAX's default precision float32 products are one bfloat16 pass.
    return Peak({"bfloat16": bfloat16, "float32": bfloat16}, bandwidth, _MXU)


# By the beginning of JAX's `device_kind`; the first that fits is taken.
PEAKS = {
    "NVIDIA H200": _nvidia(989.0, 494.5, 4.8),
    "NVIDIA H100 PCIe": _nvidia(756.0, 378.0, 2.0),
    "NVIDIA H100 NVL": _nvidia(835.0, 417.5, 3.9),
    "NVIDIA H100": _nvidia(989.0, 494.5, 3.35),  # SXM
    "NVIDIA A100 80GB PCIe": _nvidia(312.0, 156.0, 1.935),
    "NVIDIA A100-SXM4-80GB": _nvidia(312.0, 156.0, 2.039),
    "NVIDIA A100": _nvidia(312.0, 156.0, 1.555),
    # No bfloat16: XLA computes it in float32.
    "Tesla V100": Peak({"float32": 15.7}, 0.9, {"float32": "fp32"}),
    "TPU v4": _tpu(275.0, 1.2),
    "TPU v5 lite": _tpu(197.0, 0.819),  # v5e
    "TPU v5e": _tpu(197.0, 0.819),
    "TPU v5": _tpu(459.0, 2.765),  # v5p
    "TPU v6 lite": _tpu(918.0, 1.64),  # v6e
    "TPU v6e": _tpu(918.0, 1.64),
}


def find(device_kind: str) -> Peak | None:
    """The peaks of a device by JAX's name for it; None if it is not in the table."""
    fits = (p for kind, p in PEAKS.items() if device_kind.startswith(kind))
    return next(fits, None)
