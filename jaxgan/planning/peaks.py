"""What devices can do at most, from their makers' data sheets: nominal, dense."""

from __future__ import annotations

from typing import NamedTuple


class Peak(NamedTuple):
    """The ceiling of one device.

    Attributes:
      matmul: TFLOP/s of matrix products, by the step's dtype.
      bandwidth: TB/s of its memory.
      units: which of its units that is, by dtype.
      memory: GB of its memory.
      network: GB/s that it sends over all its links to the devices of its host (NVLink)
        or slice (ICI) while it receives as much; 0: not known.
      outside: GB/s to other hosts; 0: there are none beyond the network.
    """

    matmul: dict[str, float]
    bandwidth: float
    units: dict[str, str]
    memory: float = 0.0
    network: float = 0.0
    outside: float = 0.0


_TENSOR = {"bfloat16": "bf16 dense", "float32": "TF32 dense"}
_MXU = {"bfloat16": "bf16", "float32": "bf16 passes"}


def _nvidia(bfloat16: float, tf32: float, *others: float) -> Peak:
    return Peak(
        {"bfloat16": bfloat16, "float32": tf32}, others[0], _TENSOR, *others[1:]
    )


def _tpu(bfloat16: float, *others: float) -> Peak:
    # At JAX's default precision float32 products are one bfloat16 pass.
    rates = {"bfloat16": bfloat16, "float32": bfloat16}
    return Peak(rates, others[0], _MXU, *others[1:])


# By the beginning of JAX's `device_kind`; the first that fits is taken. TFLOP/s in
# bfloat16 (and TF32), TB/s, GB, GB/s within the host or slice, GB/s to other hosts: one
# network card a GPU, as in NVIDIA's DGX systems.
PEAKS = {
    "NVIDIA B200": _nvidia(2250.0, 1125.0, 7.7, 192.0, 900.0, 50.0),
    "NVIDIA H200": _nvidia(989.0, 494.5, 4.8, 151.0, 450.0, 50.0),
    "NVIDIA H100 PCIe": _nvidia(756.0, 378.0, 2.0, 85.0),
    "NVIDIA H100 NVL": _nvidia(835.0, 417.5, 3.9, 100.0),
    "NVIDIA H100": _nvidia(989.0, 494.5, 3.35, 85.0, 450.0, 50.0),  # SXM
    "NVIDIA A100 80GB PCIe": _nvidia(312.0, 156.0, 1.935, 85.0),
    "NVIDIA A100-SXM4-80GB": _nvidia(312.0, 156.0, 2.039, 85.0, 300.0, 25.0),
    "NVIDIA A100": _nvidia(312.0, 156.0, 1.555, 42.0, 300.0, 25.0),
    # No bfloat16: XLA computes it in float32.
    "Tesla V100": Peak({"float32": 15.7}, 0.9, {"float32": "fp32"}, 17.0, 150.0, 12.5),
    "TPU v4": _tpu(275.0, 1.2, 34.0, 300.0),
    "TPU v5 lite": _tpu(197.0, 0.819, 16.9, 200.0),  # v5e
    "TPU v5e": _tpu(197.0, 0.819, 16.9, 200.0),
    "TPU v5": _tpu(459.0, 2.765, 102.0, 600.0),  # v5p
    "TPU v6 lite": _tpu(918.0, 1.64, 33.5, 400.0),  # v6e
    "TPU v6e": _tpu(918.0, 1.64, 33.5, 400.0),
}


def find(device_kind: str) -> Peak | None:
    """The peaks of a device by JAX's name for it; None if it is not in the table."""
    fits = (p for kind, p in PEAKS.items() if device_kind.startswith(kind))
    return next(fits, None)
