"""What a compiled program does, read from its optimised HLO text.

Counts convolutions and dots only, multiply and add as two; positions that fall into
padding or between dilated elements do not count. Loops count as often as they run,
conditionals with their dearer branch.
"""

from __future__ import annotations

import collections
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from jax.stages import Compiled

# Compiler options for what is only read: least work on the machine code.
QUICK: dict[str, Any] = {"xla_backend_optimization_level": "0"}

_INSTRUCTION = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\((.*)$")
_NO_TRAFFIC = (
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
)
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_COLLECTIVE = re.compile(
    r"(all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(-start)?"
)

Instruction = tuple[str, str, str, str, str]  # name, shape, operation, rest, line
Bodies = dict[str, list[Instruction]]  # of every computation


class Collective(NamedTuple):
    """An exchange between devices.

    Attributes:
      kind: `all-reduce`, `all-gather`, `reduce-scatter`, `all-to-all` or
        `collective-permute`.
      results: `(dtype, shape)` of every array that a device receives; dtypes as HLO
        spells them, such as `f32`.
      group_size: how many devices exchange with each other; of a permutation the
        number of senders.
      times: how often one call of the program executes it.
      op_name: the traced operation it stems from, of merged ones the first.
    """

    kind: str
    results: tuple[tuple[str, tuple[int, ...]], ...]
    group_size: int
    times: int
    op_name: str

    @property
    def size(self) -> float:
        """Bytes of the result on one device, all its arrays together."""
        return sum(_bits(dtype) * math.prod(n) for dtype, n in self.results) / 8

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes of the results, each once."""
        return tuple(sorted({dtype for dtype, _ in self.results}))


def flops(compiled: Compiled) -> float:
    """Flops of the convolutions and dots that one call executes."""
    return text_flops(text_of(compiled))


def text_of(compiled: Compiled) -> str:
    """The optimised HLO text of a program.

    Raises:
      ValueError: if its backend has none.
    """
    text = compiled.as_text()
    if text is None:
        raise ValueError("the backend shows no text of its programs")
    return text


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
    found = collective_list(text_of(compiled))
    return dict(collections.Counter(each.kind for each in found))


def collective_list(text: str) -> list[Collective]:
    """The collectives of a program, in the order of its computations.

    An asynchronous one counts where it starts. Of a conditional those of all branches
    are listed, though one branch runs; a loop of unknown length counts as run once.

    Args:
      text: of an optimised HLO module, for CPUs, GPUs or TPUs.
    """
    bodies, entry = _computations(text)
    times: dict[str, int] = collections.Counter()
    visits = [(entry, 1)]
    while visits:
        name, count = visits.pop()
        times[name] += count
        for instruction in bodies.get(name, ()):
            visits += [(n, count * trips) for n, trips in _called(instruction, bodies)]
    devices = _devices(text)
    return [
        Collective(
            kind=found.group(1),
            results=tuple(_arrays(_received(found, shape))),
            group_size=_group_size(line, devices),
            times=times[name],
            op_name=_quoted("op_name", line),
        )
        for name, body in bodies.items()
        if times[name] and not _goes_on(name, body)
        for _, shape, op, _, line in body
        if (found := _COLLECTIVE.fullmatch(op))
    ]


def top_level_bytes(text: str) -> float:
    """Operands and results of every operation of a program's entry computation: what a
    GPU's kernels read and write. A loop's body counts once at most.

    Args:
      text: of an optimised HLO module.
    """
    bodies, entry = _computations(text)
    sizes: dict[str, float] = {}
    total = 0.0
    for name, shape, operation, rest, _ in bodies[entry]:
        arrays = _arrays(shape)
        sizes[name] = sum(_bits(dtype) * math.prod(n) for dtype, n in arrays) / 8
        if operation not in _NO_TRAFFIC:
            operands = re.findall(r"%([\w.\-]+)", rest.split("), ")[0])
            total += sizes[name] + sum(sizes.get(x, 0.0) for x in operands)
    return total


def instructions(compiled: Compiled, operation: str) -> int:
    """How many instructions of a kind the program holds, such as `convolution`."""
    return text_of(compiled).count(f" {operation}(")


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
    lines = (line.strip() for line in text_of(compiled).splitlines())
    return [
        (line, dict(re.findall(r"(\w+)=([\d_x\-]+)", window)))
        for line in lines
        if " convolution(" in line and (window := _window(line))
    ]


def _computations(text: str) -> tuple[Bodies, str]:
    bodies: Bodies = {}
    current, entry = None, ""
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            current = head.group(2)
            bodies[current] = []
            entry = current if head.group(1) else entry
        elif line.startswith("}"):
            current = None
        elif current and (found := _INSTRUCTION.match(line)):
            name, shape, op, rest = found.groups()
            bodies[current].append((name, shape, op, rest, line))
    return bodies, entry


def _called(instruction: Instruction, bodies: Bodies) -> list[tuple[str, int]]:
    """The computations that an instruction runs, and how often."""
    _, _, op, _, line = instruction
    match op:
        case "while":
            parts = re.findall(r"(?:condition|body)=%?([\w.\-]+)", line)
            return [(part, _trips(line, bodies) or 1) for part in parts]
        case "conditional":
            return [(name, 1) for name in _branches(line)]
        case "fusion" | "call" | "async-start":
            called = re.findall(r"(?:calls|to_apply)=%?([\w.\-]+)", line)
            return [(name, 1) for name in called]
    return []


def _trips(line: str, bodies: Bodies) -> int | None:
    """How often a loop runs. TPUs' programs do not say; JAX' loops of known length
    count from 0 as long as a counter is less than a constant."""
    if known := re.search(r'"known_trip_count":\{"n":"(\d+)"\}', line):
        return int(known.group(1))
    condition = bodies[re.findall(r"condition=%?([\w.\-]+)", line)[0]]
    limits = {
        name: int(rest[: rest.index(")")])
        for name, shape, op, rest, _ in condition
        if op == "constant" and shape.startswith("s32[]")
    }
    last = condition[-1][-1]
    below = re.search(r"compare\(%?[\w.\-]+, %?([\w.\-]+)\), direction=LT", last)
    return limits.get(below.group(1)) if below else None


def _branches(line: str) -> list[str]:
    if listed := re.search(r"branch_computations=\{([^}]*)\}", line):
        return [name.strip().lstrip("%") for name in listed.group(1).split(",")]
    return re.findall(r"(?:true|false)_computation=%?([\w.\-]+)", line)


def _goes_on(name: str, body: list[Instruction]) -> bool:
    """Whether a TPU's program goes on with a collective here, or ends it: it repeats
    the instruction in the fusions that it runs beside it and in the last one."""
    done = 'custom_call_target="AsyncCollectiveDone"'
    return name.startswith("async_collective_fusion") or any(
        done in line for *_, line in body
    )


def _received(start: re.Match, shape: str) -> str:
    """Of what an asynchronous start returns, `(sent, received, ...)`, what it receives;
    an all-reduce's start returns that alone."""
    begun = start.group(2) and start.group(1) != "all-reduce"
    return _members(shape)[1] if begun else shape


def _members(shape: str) -> list[str]:
    """The members of a tuple's shape, which may be tuples."""
    found, depth = [""], 0
    for letter in re.sub(r"/\*.*?\*/", "", shape)[1:-1]:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return [member.strip() for member in found]


def _arrays(shape: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """`(dtype, shape)` of all arrays of a shape, layouts left out."""
    for dtype, dims in re.findall(r"\b([a-z]+\w*)\[([\d,]*)\]", shape):
        yield dtype, tuple(int(n) for n in dims.split(",") if n)


def _bits(dtype: str) -> int:
    digits = re.match(r"[a-z]+(\d+)", dtype)  # f8e4m3fn has 8
    return int(digits.group(1)) if digits else {"pred": 8}.get(dtype, 0)


def _devices(text: str) -> int:
    head = text[: text.find("\n")]
    counts = re.findall(r"(?:num_partitions|replica_count)=(\d+)", head)
    return math.prod(map(int, counts))


def _group_size(line: str, devices: int) -> int:
    """From `{{0,1},{2,3}}`, `[groups,size]<=[...]` or `mesh['a'=2,'b'=4] {'a'}`."""
    if pairs := re.search(r"source_target_pairs=\{((?:\{\d+,\d+\},?)*)\}", line):
        return pairs.group(1).count("{")
    if listed := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return len(listed.group(1).split(","))
    if iota := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(iota.group(1))
    if mesh := re.search(r"replica_groups=\w+\[([^\]]*)\] *\{([^}]*)\}", line):
        sides = dict(re.findall(r"'([^']+)'=(\d+)", mesh.group(1)))
        # Of an axis split further, such as 'a':(2)4, the second number takes part.
        axes = re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", mesh.group(2))
        return math.prod(int(part or sides[axis]) for axis, part in axes)
    return devices


def _quoted(key: str, line: str) -> str:
    found = re.search(rf'{key}="([^"]*)"', line)
    return found.group(1) if found else ""


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
            body = re.findall(r"body=%?([\w.\-]+)", line)[0]
            inside, trips = count(body), _trips(line, bodies)
            if inside and trips is None:
                raise ValueError(f"loop of unknown length with flops inside: {name}")
            return inside * (trips or 0)
        case "conditional":
            return max(count(branch) for branch in _branches(line))
        case "custom-call":
            return _library_call(line, _shape(kind), rest, bodies[computation])
    inside = _called(instruction, bodies)
    return sum((times * count(called) for called, times in inside), 0.0)


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
