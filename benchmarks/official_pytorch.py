"""The official PyTorch train step, in a process that takes turns with another.

`versus_pytorch` starts it; it needs torch and the folder of the official code
(junyanz/pytorch-CycleGAN-and-pix2pix: `models` and `util`), and nothing of JAX, which
would take memory of the same device. Its one argument is JSON, see `Official`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

WARM_UP = 5  # steps: compiling, choice of algorithms
MODELS = {
    "cyclegan": ("cycle_gan_model", "CycleGANModel"),
    "pix2pix": ("pix2pix_model", "Pix2PixModel"),
}
NETWORKS = {  # our names: theirs. Their D_A judges what G_A makes, images of domain B
    "cyclegan": {
        "generator_ab": "G_A",
        "generator_ba": "G_B",
        "discriminator_a": "D_B",
        "discriminator_b": "D_A",
    },
    "pix2pix": {"generator": "G", "discriminator": "D"},
}
NAMED = ("resnet_9blocks", "resnet_6blocks", "unet_128", "unet_256")


class Side(Protocol):
    """One of the two that are compared, built and warm.

    Attributes:
      about: what is measured, and on what.
    """

    about: dict[str, Any]

    def run(self, steps: int) -> float:
        """Seconds a step over a window that ends when the device has finished."""
        ...

    def end(self) -> dict[str, Any]:
        """What might mislead, after the last window."""
        ...


def name_of(network: str) -> str:
    """What the official code calls a network of ours."""
    return next(names[network] for names in NETWORKS.values() if network in names)


def serve(start: Callable[[], Side]) -> None:
    """Builds a side, then obeys stdin: `run STEPS` or `end`; a line of JSON for each.

    What else is printed goes to stderr.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Mapping[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    try:
        side = start()
        answer(side.about)
        for line in sys.stdin:
            word, _, steps = line.strip().partition(" ")
            answer({"seconds": side.run(int(steps))} if word == "run" else side.end())
    except Exception as error:  # of any library; the parent says whose
        traceback.print_exc()
        words = str(error).strip().splitlines() or [""]
        answer({"error": f"{type(error).__name__}: {words[0][:300]}"})


class Official:
    """The official model, its batch resident on the device.

    `setup`: `official` (folder), `system`, `options` (of the model, see
    `versus_pytorch.options`), `shapes` ({"A": [b, c, h, w], "B": ...}, as the model's
    `set_input` takes them), `form`, `device`, `threads` (0: torch's choice).
    """

    def __init__(self, setup: Mapping[str, Any]):
        import torch

        self._torch = torch
        if setup["threads"]:
            torch.set_num_threads(setup["threads"])
        self._cuda = setup["device"] != "cpu" and torch.cuda.is_available()
        if setup["device"] == "gpu" and not self._cuda:
            raise RuntimeError("torch sees no GPU")
        self._tuned = setup["form"] == "tuned"
        if self._tuned:
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
        torch.manual_seed(0)
        names = NETWORKS[setup["system"]]
        self._model = self._build(setup)
        counts = {
            ours: sum(p.numel() for p in getattr(self._model, f"net{its}").parameters())
            for ours, its in names.items()
        }
        if self._tuned:
            self._tune(names.values())
        self._batch = {k: self._random(v) for k, v in setup["shapes"].items()}
        self._batch |= {"A_paths": [], "B_paths": []}
        began = time.perf_counter()
        self.run(1)
        _fill_pools(self._model)
        self.run(WARM_UP - 1)
        self._graphs = self._compiled_graphs()
        self.about = self._machine() | {
            "parameters": counts,
            "warm_up_s": time.perf_counter() - began,
        }

    def run(self, steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            self._model.set_input(self._batch)
            with self._precision():
                self._model.optimize_parameters()
        if self._cuda:
            self._torch.cuda.synchronize()
        return (time.perf_counter() - began) / steps

    def end(self) -> dict[str, Any]:
        with warnings.catch_warnings(action="ignore"):  # it takes no gradient of these
            losses = self._model.get_current_losses().values()
        peak = self._torch.cuda.max_memory_allocated() if self._cuda else None
        return {
            "finite": all(abs(x) < float("inf") for x in losses),
            "memory_peak": peak,
            "recompiled": self._compiled_graphs() != self._graphs,
        }

    def _build(self, setup: Mapping[str, Any]) -> Any:
        sys.path.insert(0, setup["official"])
        module, name = MODELS[setup["system"]]
        model = getattr(importlib.import_module(f"models.{module}"), name)
        _allow_any_depth(importlib.import_module("models.networks"))
        given = {"gpu_ids": [0] if self._cuda else [], **setup["options"]}
        with contextlib.redirect_stdout(io.StringIO()):  # a line for every network
            return model(argparse.Namespace(**given))

    def _tune(self, names: Any) -> None:
        """Channels last, and every network compiled, without its DataParallel."""
        for name in names:
            net = getattr(self._model, f"net{name}")
            net = getattr(net, "module", net)
            net = net.to(memory_format=self._torch.channels_last)
            setattr(self._model, f"net{name}", self._torch.compile(net))

    def _random(self, shape: list[int]) -> Any:
        images = 2 * self._torch.rand(shape, device=self._model.device) - 1
        if self._tuned:
            return images.contiguous(memory_format=self._torch.channels_last)
        return images

    def _precision(self) -> Any:
        if not self._tuned:
            return contextlib.nullcontext()
        device = "cuda" if self._cuda else "cpu"
        return self._torch.autocast(device, self._torch.bfloat16)

    def _compiled_graphs(self) -> int:
        if not self._tuned:
            return 0
        counters = importlib.import_module("torch._dynamo.utils").counters
        return counters["stats"]["unique_graphs"]

    def _machine(self) -> dict[str, Any]:
        torch = self._torch
        flags = {
            "cudnn.benchmark": torch.backends.cudnn.benchmark,
            "cudnn.allow_tf32": torch.backends.cudnn.allow_tf32,
            "cuda.matmul.allow_tf32": torch.backends.cuda.matmul.allow_tf32,
        }
        versions = {
            "torch": torch.__version__,
            "cuda of torch": torch.version.cuda,
            "cudnn of torch": torch.backends.cudnn.version() if self._cuda else None,
        }
        return {
            "platform": "gpu" if self._cuda else "cpu",
            "device": torch.cuda.get_device_name() if self._cuda else "cpu",
            "dtype": "bfloat16" if self._tuned else "float32",
            "threads": torch.get_num_threads(),
            "backends": flags,
            "versions": {k: v for k, v in versions.items() if v is not None},
        }


def _allow_any_depth(networks: Any) -> None:
    """The official generators at depths for which `define_G` has no name, too."""
    named = networks.define_G

    def define_G(  # noqa: N802
        inputs: int,
        outputs: int,
        ngf: int,
        name: str,
        norm: str,
        drop: bool,
        *rest: Any,
    ) -> Any:
        if name in NAMED:
            return named(inputs, outputs, ngf, name, norm, drop, *rest)
        kind, size = re.findall(r"(resnet|unet)_(\d+)", name)[0]
        common = {"norm_layer": networks.get_norm_layer(norm), "use_dropout": drop}
        if kind == "resnet":
            net = networks.ResnetGenerator(
                inputs, outputs, ngf, n_blocks=int(size), **common
            )
        else:
            depth = int(size).bit_length() - 1
            net = networks.UnetGenerator(inputs, outputs, depth, ngf, **common)
        return networks.init_net(net, *rest)

    networks.define_G = define_G


def _fill_pools(model: Any) -> None:
    """A pool that is not full does less."""
    for domain in "AB":
        pool = getattr(model, f"fake_{domain}_pool", None)
        while pool is not None and pool.pool_size and pool.num_imgs < pool.pool_size:
            pool.query(getattr(model, f"fake_{domain}"))


if __name__ == "__main__":
    serve(lambda: Official(json.loads(sys.argv[1])))
