"""Plans as text, and as rows of a table."""

from __future__ import annotations

from typing import Any

from jaxgan.planning.plans import Planner, StagePlan
from jaxgan.planning.topologies import Topology

_RATES = {"compute": "flops", "memory": "memory traffic", "network": "network"}


def head(config: str, topology: Topology, planner: Planner) -> str:
    """The line above the stages."""
    kind = planner.mesh.devices.flat[0].device_kind
    mesh = planner.mesh
    split = (
        f", parameters over {mesh.shape['model']}" if mesh.shape["model"] > 1 else ""
    )
    host = planner.config["devices"]["host"]
    unknown = host and not mesh.devices.flat[0].addressable_memories()
    return (
        f"{config} on {topology.name}: {mesh.size} x {kind}{split}, "
        f"{planner.config['dtype']}. Figures are of one device and one step."
        + " devices.host is unknown to this compiler: all counts as on the device."
        * bool(unknown)
    )


def stage(name: str, plan: StagePlan | None) -> str:
    """The block of one stage."""
    if plan is None:
        return (
            f"\nstage {name}: does not fit. Lower training.batch_size, raise "
            "system.microbatches, or look for the largest batch with --largest_batch"
        )
    found, own = plan.estimate, plan.batch_size // plan.devices
    lines = [
        f"\nstage {name}, batch {plan.batch_size} ({own} a device), compiled in "
        f"{plan.compile_seconds:.0f} s"
    ]
    if plan.without_data is not None:
        lines.append(f"  planned from ready batches on: {plan.without_data}")
    flops = "?" if found.flops is None else f"{found.flops / 1e9:.4g} GFLOP"
    lines += [
        _row("flops", flops, found.seconds.get("compute")),
        _row(
            "memory traffic",
            "?" if found.accessed is None else _bytes(found.accessed),
            found.seconds.get("memory"),
        ),
    ]
    for kind, (count, size, _) in found.sent.items():
        lines.append(_row("network", f"{count} x {kind}, {_bytes(size)}", None))
    if found.sent and "network" in found.seconds:
        sent = f"{_bytes(found.bytes_sent)} sent"
        lines.append(_row("", sent, found.seconds["network"]))
    if found.least_seconds:
        rate = plan.batch_size / found.least_seconds
        lines.append(
            f"  at least         {1e3 * found.least_seconds:.4g} ms a step, bound by "
            f"{_RATES[found.bound or 'compute']}: {rate:.4g} examples/s at most on all "
            "devices"
        )
    else:
        lines.append("  at least         ? (no data sheet of this device)")
    limit = "" if plan.memory_limit is None else f" of {_bytes(plan.memory_limit)}"
    fits = "" if plan.fits else ", DOES NOT FIT"
    lines.append(_row("memory", f"{_bytes(found.peak_memory)}{limit}{fits}", None))
    for what, size in sorted(found.memory.items(), key=lambda item: -item[1]):
        lines.append(f"    {what:20} {_bytes(size)}")
    if found.host_memory:
        lines.append(_row("on the host", _bytes(found.host_memory), None))
    return "\n".join(lines)


def row(
    config: str, topology: Topology, name: str, plan: StagePlan | None
) -> dict[str, Any]:
    """A JSON object of the stage's figures."""
    about = {"config": config, "topology": topology.name, "stage": name}
    if plan is None:
        return {**about, "fits": False}
    found = plan.estimate
    return {
        **about,
        "fits": plan.fits,
        "batch_size": plan.batch_size,
        "devices": plan.devices,
        "device_kind": plan.device_kind,
        "dtype": plan.dtype,
        "without_data": plan.without_data,
        "compile_seconds": round(plan.compile_seconds, 1),
        "flops": found.flops,
        "bytes_accessed": found.accessed,
        "collectives": {
            kind: {"count": count, "bytes": size, "sent": sent}
            for kind, (count, size, sent) in found.sent.items()
        },
        "memory": dict(found.memory),
        "memory_peak": found.peak_memory,
        "memory_host": found.host_memory,
        "memory_limit": plan.memory_limit,
        "seconds": dict(found.seconds),
        "bound": found.bound,
    }


def _row(what: str, figure: str, seconds: float | None) -> str:
    time = "" if seconds is None else f"{1e3 * seconds:.4g} ms"
    return f"  {what:16} {figure:28} {time}".rstrip()


def _bytes(size: float | int) -> str:
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.4g} {unit}"
    return f"{size:.0f} B"
