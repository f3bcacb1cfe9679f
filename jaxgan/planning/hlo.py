"""What a compiled program does, read from its optimised HLO text.

Counts convolutions and dots only, multiply and add as two; positions that fall into
padding or between dilated elements do not count. Loops count as often as they run,
conditionals with their dearer branch.
"""

from __future__ import annotations

import collections
import math
import re

from jax.stages import Compiled

# Compiler options for what is only read: least work on the machine code.
QUICK = {"xla_backend_optimization_level": "0"}

INSTRUCTION = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\((.*)$")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_COLLECTIVE = re.compile(
    r" (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)"
    r"(?:-start)?\("
)


def flops(compiled: Compiled) -> float:
    """Flops of the convolutions and dots that one call executes."""
    return text_flops(compiled.as_text())


def text_flops(text: str) -> float:
    """As `flops`, from the text of an optimised HLO module."""
    bodies, entry = _computations(text)
    counted: dict[str, float] = {}

    def count(name: str) -> float:
        if name not in counted:
            counted[name] = 0.0  # guards against a cycle; HLO has none
            counted[name] = sum(
                _line_flops(m, bodies, name, count) for m in bodies[name]
            )
        return counted[name]

    return count(entry)


def collectives(compiled: Compiled) -> dict[str, int]:
    """How many collectives of each kind the program holds."""
    return dict(collections.Counter(_COLLECTIVE.findall(compiled.as_text())))


def instructions(compiled: Compiled, operation: str) -> int:
    """How many instructions of a kind the program holds, such as `convolution`."""
    return compiled.as_text().count(f" {operation}(")


def slow_convolutions(compiled: Compiled, size: int = 16) -> list[str]:
    """Convolutions in forms that a GPU computes at 2 to 6 times their flops.

    They are none of the three passes that its library knows (forward, to the input, to
    the kernel), so that the zeros of their gaps are materialised: an axis along which
    both sides have gaps, or a reversed window that has gaps or is a feature map. The
    flops of a CPU's program do not show it.

    Args:
      compiled: a program, also one compiled for a CPU.
      size: a window of at least this side is a feature map, no kernel.
    """
    found = []
    for line, window in _convolution_windows(compiled):
        backwards = "1" in window.get("rhs_reversal", "")
        gaps = [window.get(k, "").split("x") for k in ("lhs_dilate", "rhs_dilate")]
        both = any(left > "1" and right > "1" for left, right in zip(*gaps))
        large = max(map(int, window["size"].split("x"))) >= size
        if both or (backwards and (large or "rhs_dilate" in window)):
            found.append(line)
    return found


def reversed_map_sized_windows(compiled: Compiled, size: int = 16) -> list[str]:
    """Of the slow forms: windows as large as a feature map, and reversed.

    That is how autodiff writes the kernel gradient of `lax.conv_transpose`, and XLA a
    convolution whose kernel is larger than its input.
    """
    return [
        line
        for line, window in _convolution_windows(compiled)
        if "1" in window.get("rhs_reversal", "")
        and max(map(int, window["size"].split("x"))) >= size
    ]


def _convolution_windows(compiled: Compiled) -> list[tuple[str, dict[str, str]]]:
    """The lines of the convolutions over space, and what their windows say."""
    lines = (line.strip() for line in compiled.as_text().splitlines())
    return [
        (line, dict(re.findall(r"(\w+)=([\d_x\-]+)", window)))
        for line in lines
        if " convolution(" in line and (window := _window(line))
    ]


def _computations(text: str) -> tuple[dict[str, list[tuple]], str]:
    bodies, current, entry = {}, None, ""
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            current = head.group(2)
            bodies[current] = []
            entry = current if head.group(1) else entry
        elif line.startswith("}"):
            current = None
        elif current and (found := INSTRUCTION.match(line)):
            bodies[current].append((*found.groups(), line))
    return bodies, entry


def _line_flops(instruction, bodies, computation, count) -> float:
    name, kind, op, rest, line = instruction
    match op:
        case "convolution":
            lhs, rhs = _operand_shapes(rest, bodies[computation], 2)
            return _convolution(line, _shape(kind), lhs, rhs)
        case "dot":
            (lhs,) = _operand_shapes(rest, bodies[computation], 1)
            axes = re.findall(r"lhs_contracting_dims=\{([\d,]*)\}", line)
            axes = [int(a) for a in ",".join(axes).split(",") if a]
            return 2.0 * math.prod(_shape(kind)) * math.prod(lhs[a] for a in axes)
        case "while":
            trips = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', line)
            body = re.findall(r"body=%?([\w.\-]+)", line)[0]
            inside = count(body)
            if inside and not trips:
                raise ValueError(f"loop of unknown length with flops inside: {name}")
            return inside * (int(trips.group(1)) if trips else 0)
        case "conditional":
            branches = re.findall(r"(?:true|false)_computation=%?([\w.\-]+)", line)
            if listed := re.search(r"branch_computations=\{([^}]*)\}", line):
                branches = [b.strip().lstrip("%") for b in listed.group(1).split(",")]
            return max(count(b) for b in branches)
        case "custom-call":
            return _library_call(line, _shape(kind), rest, bodies[computation])
        case "fusion" | "call" | "async-start":
            called = re.findall(r"(?:calls|to_apply)=%?([\w.\-]+)", line)
            return sum(count(c) for c in called)
    return 0.0


def _library_call(line: str, out: list[int], rest: str, body) -> float:
    """cuDNN's convolutions and cuBLAS' products."""
    target = re.search(r'custom_call_target="([^"]*)"', line)
    target = target.group(1) if target else ""
    if target.startswith("__cudnn$conv"):
        first, second = _operand_shapes(rest, body, 2)
        # Window and labels are those of the forward convolution in every case.
        if "BackwardInput" in target:
            return _convolution(line, first, lhs=out, rhs=second)
        if "BackwardFilter" in target:
            return _convolution(line, second, lhs=first, rhs=out)
        return _convolution(line, out, lhs=first, rhs=second)
    if axes := re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', line):
        (lhs,) = _operand_shapes(rest, body, 1)
        contracted = math.prod(lhs[int(a)] for a in re.findall(r"\d+", axes.group(1)))
        return 2.0 * math.prod(out) * contracted
    if re.search("conv|dot|gemm|matmul", target):
        raise ValueError(f"a library call that is not counted: {line.strip()[:200]}")
    return 0.0


def _shape(kind: str) -> list[int]:
    dims = re.findall(r"\w+\[([\d,]*)\]", kind)[0]
    return [int(d) for d in dims.split(",")] if dims else []


def _operand_shapes(rest: str, body, number: int) -> list[list[int]]:
    """Shapes of the first operands, which newer XLA prints by name alone."""
    inside = rest.split("), ")[0]
    if len(shaped := re.findall(r"\w+\[[\d,]*\]", inside)) >= number:
        return [_shape(s) for s in shaped[:number]]
    kinds = {entry[0]: entry[1] for entry in body}
    names = re.findall(r"%?([\w.\-]+)", inside)
    return [_shape(kinds[n]) for n in names if n in kinds][:number]


def _convolution(line: str, out: list[int], lhs: list[int], rhs: list[int]) -> float:
    labels = re.findall(r"dim_labels=(\w+)_(\w+)->(\w+)", line)
    lhs_labels, rhs_labels, out_labels = labels[0]
    window = dict(re.findall(r"(\w+)=([\d_x\-]+)", _window(line)))
    spatial = sorted(c for c in rhs_labels if c.isdigit())

    def field(name: str, i: int, default: int) -> int:
        return int(window[name].split("x")[i]) if name in window else default

    total = 2.0 * rhs[rhs_labels.index("i")] * out[out_labels.index("f")]
    batch_groups = re.search(r"batch_group_count=(\d+)", line)
    total *= out[out_labels.index("b")]
    total /= int(batch_groups.group(1)) if batch_groups else 1
    for i, axis in enumerate(spatial):
        low = int(window["pad"].split("x")[i].split("_")[0]) if "pad" in window else 0
        total *= _taps(
            lhs[lhs_labels.index(axis)],
            rhs[rhs_labels.index(axis)],
            out[out_labels.index(axis)],
            low=low,
            stride=field("stride", i, 1),
            lhs_dilation=field("lhs_dilate", i, 1),
            rhs_dilation=field("rhs_dilate", i, 1),
        )
    return total


def _window(line: str) -> str:
    found = re.search(r"window=\{([^}]*)\}", line)
    return found.group(1) if found else ""


def _taps(size, window, out, *, low, stride, lhs_dilation, rhs_dilation) -> int:
    """Pairs of an output position and a tap that meet a real element of one axis."""
    length = (size - 1) * lhs_dilation + 1
    positions = (
        o * stride + k * rhs_dilation - low for o in range(out) for k in range(window)
    )
    return sum(0 <= p < length and p % lhs_dilation == 0 for p in positions)
