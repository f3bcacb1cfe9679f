"""Every mistake that a user can make: one line that names it and says what to do.

| mistake | test |
|---|---|
| all that a command can see before its first step | `MISTAKES`, below |
| loss that is not finite | training/test_command.py::test_a_loss_that_is_not_finite |
| full disk | training/test_command.py::test_a_full_disk_leaves_the_last_checkpoint |
| truncated checkpoint | training/test_command.py::test_a_truncated_checkpoint_falls_back_and_says_so |
| two trainers | training/test_command.py::test_two_trainers_in_one_directory |
| out of memory | training/test_loop.py::test_out_of_memory_names_the_levers |
| unreadable files, within limits | data/test_errors.py::test_unreadable_file_is_named_and_skipped_the_same_by_every_reader |
| every kind of malicious checkpoint | pretrained/test_torch_files.py::test_check_05_a_malicious_checkpoint_does_not_run |

The rows below run through the command line's own entry point. Each ends with exit
status 1 and one line, and leaves every file as it was.
"""  # noqa: E501

import io
import json
import os
import pathlib
import pickle
import re
import shutil
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from jaxgan import cli
from tests.inference import trained

ROOT = pathlib.Path(__file__).parent


class Mistake(NamedTuple):
    """A row: `{files}` is the folder of the fixture, `{out}` an empty one."""

    item: str
    command: str
    names: str  # the thing that is wrong
    advises: str  # what to do about it


PIX2PIX = "train --config=pix2pix:tiny --workdir={out}/run --config.devices.data=1"
DCGAN = PIX2PIX.replace("pix2pix", "dcgan")
CONDITIONAL = DCGAN.replace(":tiny", ":tiny_conditional")
CYCLEGAN = PIX2PIX.replace("pix2pix", "cyclegan")
SRGAN = PIX2PIX.replace("pix2pix:tiny", "srgan:tiny_vgg22")
GAN3D = PIX2PIX.replace("pix2pix", "gan3d")
INPAINTING = PIX2PIX.replace("pix2pix", "semantic_inpainting")
OWN = "--config.data.reader=pillow --config.data.source="
GENERATE = "generate --workdir={files}/run --output={out}/results"
SAMPLE, INVERT = f"{GENERATE} --mode=sample", f"{GENERATE} --mode=invert"
EXPORT = "export --workdir={files}/run --output={out}/exported --mode=sample"
EVALUATE = "evaluate --workdir={files}/run"
PREPARE = "prepare --output={out}/shapes.npz --source=folder:{files}/"
IMPORT = "import-weights --network=vgg19 --output={out}/vgg19.safetensors --source="

# fmt: off
MISTAKES = [
    # Configs.
    Mistake("unknown key", f"{PIX2PIX} --config.training.batchsize=2",
            "'training.batchsize'", "did you mean 'training.batch_size'"),
    Mistake("unknown key", f"{PIX2PIX} --config.system.generater=unet",
            "'system.generater'", "did you mean 'system.generator'"),
    Mistake("unknown key", f"{PIX2PIX} --config.batch_size=2",
            "'batch_size'", "did you mean 'training.batch_size'"),
    Mistake("unknown flag", f"{PIX2PIX} --wrkdir=x",
            "--wrkdir", "did you mean 'workdir'"),
    Mistake("unknown system", "train --config=pix2pxi:tiny --workdir={out}/run",
            "'pix2pxi'", "did you mean 'pix2pix'"),
    Mistake("unknown system", f"{PIX2PIX} --config.name=pix3pix",
            "'pix3pix'", "did you mean 'pix2pix'"),
    Mistake("unknown variant", "train --config=pix2pix:tinny --workdir={out}/run",
            "'tinny'", "did you mean 'tiny'"),
    Mistake("unknown choice", f"{PIX2PIX} --config.system.generator=unett",
            "'unett'", "choose one of"),
    Mistake("unknown task", f"{PIX2PIX} --config.data.task=pared",
            "'pared'", "did you mean 'paired'"),
    Mistake("impossible value", f"{PIX2PIX} --config.training.batch_size=0",
            "training.batch_size = 0", "at least 1"),
    Mistake("impossible value", f"{PIX2PIX} --config.training.num_steps=-5",
            "training.num_steps = -5", "at least 1"),
    Mistake("steps a call that divide nothing",
            f"{PIX2PIX} --config.training.steps_per_call=4",
            "training.log_every = 1, training.checkpoint_every = 2",
            "set training.log_every=4 training.checkpoint_every=4"),
    Mistake("impossible value", f"{PIX2PIX} --config.system.constant_steps=-5",
            "system.constant_steps = -5", "at least 0"),
    Mistake("impossible value", f"{PIX2PIX} --config.system.learning_rate=nan",
            "system.learning_rate = nan", "finite"),
    Mistake("impossible value", f"{PIX2PIX} --config.data.image_size=0",
            "data.image_size = 0", "at least 1"),
    Mistake("impossible value", f"{PIX2PIX} --config.evaluation.num_examples=-1",
            "evaluation.num_examples is -1", "at least 0"),
    Mistake("no such entry", PIX2PIX.replace("pix2pix", "gan")
            + " --config.system.hidden_units[9]=1",
            "--config.system.hidden_units[9]=1: there is no such entry",
            "set the whole tuple"),
    Mistake("own config", "train --config={files}/broken.py --workdir={out}/run",
            "broken.py: the file cannot be run (SyntaxError", "correct it"),
    Mistake("own config", "train --config={files}/raises.py --workdir={out}/run",
            "raises.py: the file cannot be run (KeyError: 'x')", "correct it"),
    Mistake("own config", "train --config={files}/dict.py --workdir={out}/run",
            "get_config returned a dict", "return an ml_collections.ConfigDict"),
    Mistake("own config", "train --config={files}/nameless.py --workdir={out}/run",
            "config.name is not set", "name a system, one of cyclegan"),
    Mistake("no number", f"{GAN3D} --config.training.batch_size=0x",
            "--config.training.batch_size=0x: ", "it must be a whole number"),
    Mistake("no number", f"{GAN3D} --config.system.beta1=half",
            "--config.system.beta1=half: ", "it must be a number"),
    Mistake("impossible value", f"{GAN3D} --config.system.accuracy_threshold=7",
            "system.accuracy_threshold = 7", "at least 0 and at most 1"),
    Mistake("impossible value", f"{GAN3D} --config.system.norm_momentum=1",
            "system.norm_momentum = 1", "at least 0 and below 1"),
    Mistake("impossible value", f"{SRGAN} --config.system.beta1=1",
            "system.beta1 = 1", "at least 0 and below 1"),
    Mistake("no boolean", f"{PIX2PIX} --config.data.flip=maybe",
            "--config.data.flip=maybe: ", "it must be true or false"),
    Mistake("no boolean", f"{SAMPLE} --gif=maybe",
            "--gif=maybe: it must be true or false", "see "),
    Mistake("a whole section", f"{PIX2PIX} --config.training={{{{}}}}",
            "--config.training is a section", "set its keys one by one"),
    # Data.
    Mistake("wrong type", f"{PIX2PIX} --config.data.holdout=abc",
            "data.holdout = 'abc'", "is not of type int | float | None"),
    Mistake("wrong type", f"{PIX2PIX} --config.data.max_unreadable=abc",
            "data.max_unreadable = 'abc'", "is not of type int | float"),
    Mistake("wrong type", f"{PIX2PIX} --config.data.where=cat",
            "data.where = 'cat'", "is not of type Mapping[str, Any] | None"),
    Mistake("wrong type", f"{PIX2PIX} --config.data.folders=5",
            "data.folders = 5", "is not of type Sequence[str] | str | None"),
    Mistake("wrong type", f"{PIX2PIX} --config.data.box=(1,2,'a',4)",
            "data.box = (1, 2, 'a', 4)", "is not of type int | Sequence[int]"),
    Mistake("wrong type", f"{PIX2PIX} --config.data.value_range=0",
            "data.value_range = 0", "is not of type Sequence[int | float]"),
    Mistake("impossible value", f"{PIX2PIX} --config.data.value_range=(0,1,2)",
            "data.value_range is (0, 1, 2)", "give two numbers"),
    Mistake("range that a system does not take",
            f"{DCGAN} --config.data.value_range=(0.0,1.0)",
            "data.value_range is (0.0, 1.0)", "takes -1 to 1 in 'image'; set it to"),
    Mistake("impossible value", f"{PIX2PIX} --config.data.threads=-1",
            "data.threads is -1", "or 0 for as many as there are cores"),
    Mistake("one of two sources missing",
            f"{CYCLEGAN} {OWN}('folder:{{files}}/pictures','folder:{{files}}/no')",
            "{files}/no: there is no such folder", "check data.source"),
    Mistake("missing folder", f"{DCGAN} {OWN}folder:{{files}}/pictuers",
            "/pictuers: there is no such folder", "did you mean 'pictures'"),
    Mistake("empty folder", f"{DCGAN} {OWN}folder:{{files}}/empty",
            "/empty: there are no images in it", "looked, also in folders below, for"),
    Mistake("folder of texts", f"{CYCLEGAN} {OWN}folder:{{files}}/text",
            "/text: there are no images in it", "looked, also in folders below, for"),
    Mistake("no two domains", f"{CYCLEGAN} {OWN}folder:{{files}}/pictures",
            "/pictures: there are no two domains", "make folders trainA and trainB"),
    Mistake("pairs without partner", f"{PIX2PIX} {OWN}folder:{{files}}/pairs",
            "/pairs/A: '2' has no partner", "add the missing files or remove these"),
    Mistake("truncated file",
            f"{DCGAN} {OWN}folder:{{files}}/truncated --config.training.batch_size=9",
            "/5.png: image file is truncated", "repair or remove"),
    Mistake("truncated half of a pair",
            f"{PIX2PIX} {OWN}folder:{{files}}/torn_pairs --config.data.holdout=0.0"
            " --config.training.sample_every=0",
            "B/1.png: image file is truncated", "repair or remove"),
    Mistake("no image", f"{DCGAN} {OWN}folder:{{files}}/nonsense",
            ".png: not an image file", "repair or remove"),
    Mistake("wrong channels", f"{DCGAN} {OWN}npz:{{files}}/two_channels.npz",
            "uint8[16, 16, 2]", "images are uint8"),
    Mistake("wrong channels", f"{DCGAN} --config.data.channels=1",
            "'image' is float32[16, 16, 16, 1], expected", "set data.image_size"),
    Mistake("wrong channels", f"{DCGAN} --config.data.channels=5",
            "data.channels is 5", "choose 1 or 3"),
    Mistake("wrong kind of numbers", f"{DCGAN} {OWN}npz:{{files}}/float.npz",
            "float64[16, 16, 3]", "images are uint8"),
    Mistake("pickles in an archive", f"{DCGAN} {OWN}npz:{{files}}/objects.npz",
            "objects.npz: cannot be read", "make it anew with numpy.savez"),
    Mistake("size the network cannot take",
            f"{PIX2PIX} --config.system.image_size=100 --config.data.image_size=100",
            "system.image_size = 100 does not fit", "choose 64 or 128"),
    Mistake("size of system and data", f"{DCGAN} --config.data.image_size=32",
            "'image' is float32[16, 32, 32, 3], expected", "so that they agree"),
    Mistake("shapes too large", DCGAN.replace("dcgan", "gan3d")
            + f" {OWN}npz:{{files}}/large.npz",
            "grids of 40x40x40 voxels", "use cubes of at most that size"),
    Mistake("labels out of range", f"{CONDITIONAL} {OWN}npz:{{files}}/labels.npz"
            " --config.data.holdout=0.0 --config.training.sample_every=0",
            "labels in 'label' go up to 31, it takes 0 to 9", "raise system.num_cla"),
    Mistake("labels out of range", f"{CONDITIONAL} {OWN}npz:{{files}}/labels.npz"
            " --config.data.num_classes=10",
            "is outside 0..9", "set data.num_classes"),
    Mistake("no split to evaluate on", f"{DCGAN} {OWN}folder:{{files}}/pictures"
            " --config.data.holdout=0.0 --config.training.sample_every=0"
            " --config.training.evaluate_every=2",
            "/pictures: it has no test split", "set data.holdout to a share"),
    # Devices.
    Mistake("batch and devices", PIX2PIX.replace("data=1", "data=3"),
            "batch_size 8 cannot be divided over 3 devices", "choose 6 or 9"),
    Mistake("too many devices", PIX2PIX.replace("data=1", "data=30"),
            "30", "devices.data"),
    Mistake("one of several processes", f"{PIX2PIX} --num_processes=2",
            "--num_processes and --process_id are for several", "pass --distributed"),
    Mistake("GPU asked for and absent", f"{PIX2PIX} --device=gpu",
            "--device=gpu: no such device here", "or pass --device=auto"),
    # Pretrained networks: the first stage needs none, and is not begun.
    Mistake("weights missing", f"{SRGAN} --config.pretrained.vgg19=None",
            "VGG-19 weights not found: set pretrained.vgg19=PATH",
            "published by torchvision (vgg19), Keras or the VGG group, expected lay"),
    Mistake("weights in a picture",
            f"{SRGAN} --config.pretrained.vgg19={{files}}/pictures/0.png",
            "0.png: '.png' is no kind of weights file", "give a .safetensors or .npz"),
    Mistake("weights missing", f"{SRGAN} --config.pretrained.vgg19={{files}}/no.npz",
            "no file {files}/no.npz", "convert once: python -m jaxgan.import_weights"),
    Mistake("weights of wrong shape",
            f"{SRGAN} --config.pretrained.vgg19={{files}}/vgg19.npz",
            "vgg19.npz: conv1_1/kernel: expected (3, 3, 3, 64), file has (5, 3, 3, 64)",
            "accepted are vgg19-dcbb9e9d.pth"),
    Mistake("weights that run code",
            f"{SRGAN} --config.pretrained.vgg19={{files}}/evil.pth",
            "evil.pth", "import_weights"),
    Mistake("weights that run code", f"{IMPORT}{{files}}/evil.pth",
            "evil.pth: it names", "convert it in a sandbox"),
    Mistake("weights missing", f"{IMPORT}{{files}}/no.pth",
            "no.pth: no such file", "accepted for vgg19: vgg19-dcbb9e9d.pth"),
    # A run's directory.
    Mistake("run of another system", f"{PIX2PIX} --workdir={{files}}/run",
            "/run holds a run of 'dcgan', not of 'pix2pix'", "choose another"),
    Mistake("run of another config",
            f"{DCGAN} --workdir={{files}}/run --config.system.z_dim=9",
            "system.z_dim (was 8, now 9)", "choose the old values, or another --w"),
    Mistake("config damaged", f"{DCGAN} --workdir={{files}}/damaged",
            "damaged/config.json is damaged", "restore it, or choose another"),
    Mistake("config damaged", f"{GENERATE} --workdir={{files}}/list",
            "list/config.json is no run's config", "restore it, or choose another"),
    Mistake("below a file", f"{PIX2PIX} --workdir={{files}}/file/run",
            "cannot write to --workdir={files}/file/run", "choose a directory"),
    Mistake("at a file", f"{PIX2PIX} --workdir={{files}}/file",
            "--workdir={files}/file is a file", "choose a directory"),
    Mistake("no run to start from", f"{DCGAN} --init_from={{files}}",
            "{files} is not a run directory", "give the --workdir of a"),
    Mistake("start from a run that saved nothing",
            f"{INPAINTING} --init_from={{files}}/unsaved",
            "no checkpoint in {files}/unsaved", "has that run saved one yet?"),
    Mistake("start from another lineage", f"{INPAINTING} --init_from={{files}}/run",
            "/run, a run of 'dcgan', lacks discriminator",
            "or the same values here: system.lineage ('theano' there, 'tf' here)"),
    Mistake("size of system and data",
            f"{INPAINTING} --init_from={{files}}/run --config.data.image_size=32",
            "the data's 'image' is [32, 32, 3], this system's [16, 16, 3]",
            "set data.image_size"),
    Mistake("unknown hole", f"{INPAINTING} --init_from={{files}}/run"
            " --config.data.mask=centre",
            "'centre'", "did you mean 'center'"),
    Mistake("nothing to start from", INPAINTING,
            "this system trains nothing of its own", "pass --init_from=RUN"),
    # Generate.
    Mistake("no run", f"{SAMPLE} --workdir={{files}}",
            "{files} is not a run directory", "give the --workdir of a"),
    Mistake("nothing saved yet", f"{SAMPLE} --workdir={{files}}/unsaved",
            "no checkpoint in {files}/unsaved", "has that run saved one yet?"),
    Mistake("no checkpoint of that step", f"{SAMPLE} --step=7",
            "no checkpoint 7 in", "it has: 0"),
    Mistake("damaged checkpoint", f"{SAMPLE} --workdir={{files}}/torn",
            "no checkpoint in {files}/torn/checkpoints can be read (",
            "restore one from a copy"),
    Mistake("damaged checkpoint",
            f"{SAMPLE} --workdir={{files}}/torn --step=0",
            "checkpoint 0 in {files}/torn/checkpoints is damaged (", "name another"),
    Mistake("unknown mode", f"{GENERATE} --mode=smaple",
            "--mode=smaple", "did you mean 'sample'"),
    Mistake("unknown argument", f"{SAMPLE} --nmu=3",
            "--nmu", "did you mean 'num'"),
    Mistake("no input", INVERT,
            "--input is missing", "give a file, a folder or a .zip"),
    Mistake("missing input", f"{INVERT} --input={{files}}/pictuers",
            "--input={files}/pictuers: there is no such", "did you mean 'pictures'"),
    Mistake("empty input", f"{INVERT} --input={{files}}/empty",
            "/empty: there are no images in it", "looked, also in folders below, for"),
    Mistake("wrong kind of input", f"{INVERT} --input={{files}}/float.npz",
            "float.npz: this mode does not take such a file", "it takes .jpg"),
    Mistake("no image", f"{GENERATE} --mode=discriminate --input={{files}}/nonsense",
            "the first: 0.png: not an image file", "repair it, or give others"),
    Mistake("latents that are not finite", f"{SAMPLE} --z={{files}}/nan.npy",
            "nan.npy: it holds numbers that are not finite", "give others"),
    Mistake("pickled latents", f"{SAMPLE} --z={{files}}/objects.npy",
            "objects.npy: not a whole .npy or .npz file", "save it anew"),
    Mistake("output is a file", f"{SAMPLE} --output={{files}}/file",
            "--output={files}/file is a file", "name a folder"),
    Mistake("output below a file", f"{SAMPLE} --output={{files}}/file/x",
            "cannot write {files}/file/x", "choose another --output"),
    Mistake("output is the input",
            f"{INVERT} --input={{files}}/pictures --output={{files}}/pictures",
            "--output and --input are both", "choose another folder"),
    Mistake("output beside the input",
            f"{INVERT} --input={{files}}/pictures/0.png"
            " --output={files}/pictures",
            "0.png would replace your file", "choose another folder"),
    # Export.
    Mistake("unknown mode", f"{EXPORT} --mode=smaple",
            "--mode=smaple", "did you mean 'sample'"),
    Mistake("unknown platform", f"{EXPORT} --platforms=cpu,toaster",
            "'toaster'", "choose one of cpu"),
    Mistake("no platform", f"{EXPORT} --platforms=",
            "--platforms= names none", "give some of cpu"),
    Mistake("nothing saved yet", f"{EXPORT} --workdir={{files}}/unsaved",
            "no checkpoint in {files}/unsaved", "has that run saved one yet?"),
    Mistake("output is a file", f"{EXPORT} --output={{files}}/file",
            "--output={files}/file is a file", "name a folder"),
    Mistake("output holds others' files", f"{EXPORT} --output={{files}}/text",
            "holds README.txt of no earlier export", "choose another folder"),
    # Evaluate.
    Mistake("neither run nor folder", "evaluate",
            "give either --workdir", "or --images_a"),
    Mistake("run and folder", f"{EVALUATE} --images_b={{files}}/pictures",
            "--images_b goes with --images_a", "or against --source"),
    Mistake("nothing saved yet", "evaluate --workdir={files}/unsaved",
            "no checkpoint in {files}/unsaved", "has that run saved one yet?"),
    Mistake("impossible value", f"{EVALUATE} --config.evaluation.num_examples=-1",
            "evaluation.num_examples is -1", "at least 0"),
    Mistake("missing data", f"{EVALUATE} --config.data.source=folder:{{files}}/no",
            "{files}/no: there is no such folder", "check data.source"),
    Mistake("size of run and data", f"{EVALUATE} --config.data.image_size=32",
            "the data's 'image' is [32, 32, 3], this system's [16, 16, 3]",
            "set data.image_size"),
    Mistake("channels of run and data", f"{EVALUATE} --config.data.channels=1",
            "the data's 'image' is [16, 16, 1], this system's [16, 16, 3]",
            "set data.image_size and data.channels"),
    Mistake("another system", f"{EVALUATE} --config.system.z_dim=9",
            "--config.system cannot be changed", "what can are data"),
    Mistake("output below a file", f"{EVALUATE} --output={{files}}/file/rows.jsonl",
            "cannot write {files}/file/rows.jsonl", "pass --nowrite"),
    # Prepare.
    Mistake("missing folder", f"{PREPARE}shpaes",
            "{files}/shpaes: there is no such folder", "did you mean 'shapes'"),
    Mistake("no shapes", f"{PREPARE}pictures",
            "/pictures: there are no shapes in it", "looked, also in folders below"),
    Mistake("none can be read", f"{PREPARE}broken_shapes",
            "none of its 2 files can be read, such as a.npy: ", "repair or replace"),
    Mistake("shapes of two sizes", f"{PREPARE}shapes",
            "found 6x6x6, 7x7x7", "prepare them apart"),
    Mistake("output in no folder", f"{PREPARE}shapes --output={{out}}/new/x.npz",
            "--output={out}/new/x.npz: there is no folder {out}/new", "make it"),
    Mistake("output below a file", f"{PREPARE}shapes --output={{files}}/file/x.npz",
            "cannot write {files}/file/x.npz", "choose another --output"),
]
# fmt: on


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Everything that is wrong; nothing may write here."""
    root = tmp_path_factory.mktemp("wrong")
    rng = np.random.default_rng(0)

    def png(size=32):
        buffer = io.BytesIO()
        pixels = rng.integers(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(pixels).save(buffer, "png")
        return buffer.getvalue()

    def write(path, data):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)

    (root / "empty").mkdir()
    write("file", b"a file")
    write("text/README.txt", b"of mine")
    for i in range(9):
        write(f"pictures/{i}.png", png())
        write(f"truncated/{i}.png", png()[:100] if i == 5 else png())
        write(f"nonsense/{i}.png", b"no picture")
    for i in range(3):
        write(f"pairs/A/{i}.png", png())
        write(f"torn_pairs/A/{i}.png", png())
        write(f"torn_pairs/B/{i}.png", png()[:100] if i == 1 else png())
    write("pairs/B/0.png", png())
    write("pairs/B/1.png", png())

    def images(*shape):
        return rng.integers(0, 256, shape, np.uint8)

    np.savez(root / "two_channels.npz", image=images(9, 16, 16, 2))
    np.savez(root / "float.npz", image=rng.random((9, 16, 16, 3)))
    np.savez(root / "objects.npz", image=np.array([{}, {}], object))
    np.savez(root / "labels.npz", image=images(32, 16, 16, 1), label=np.arange(32))
    np.savez(root / "large.npz", voxels=np.ones((9, 40, 40, 40), np.uint8))
    np.save(root / "nan.npy", np.full((2, 8), np.nan))
    np.save(root / "objects.npy", np.array([{}], object))
    for name, shapes in (
        ("shapes", ((6,) * 3, (7,) * 3)),
        ("broken_shapes", ((3, 3),)),
    ):
        (root / name).mkdir()
        for letter, shape in zip("ab", shapes, strict=False):
            np.save(root / name / f"{letter}.npy", np.ones(shape, np.uint8))
    write("broken_shapes/b.npy", b"no grid")

    kernels = {"conv1_1": (5, 3, 3, 64), "conv1_2": (3, 3, 64, 64)}
    kernels |= {"conv2_1": (3, 3, 64, 128), "conv2_2": (3, 3, 128, 128)}
    arrays: dict[str, Any] = {
        f"{name}/kernel": np.ones(k, np.float32) for name, k in kernels.items()
    }
    arrays |= {f"{n}/bias": np.ones(k[-1], np.float32) for n, k in kernels.items()}
    np.savez(root / "vgg19.npz", **arrays)
    write("evil.pth", pickle.dumps({"a": Evil(str(root / "was_run"))}))

    write("broken.py", b"def get_config(:\n")
    write("raises.py", b"def get_config():\n    raise KeyError('x')\n")
    write("dict.py", b"def get_config():\n    return {}\n")
    write(
        "nameless.py",
        b"import ml_collections\nget_config = lambda: ml_collections.ConfigDict()\n",
    )

    run = trained.start("dcgan", tmp_path_factory)
    for name in ("run", "torn"):
        shutil.copytree(run, root / name)
    for path in (root / "torn" / "checkpoints").rglob("d/*"):
        path.write_bytes(path.read_bytes()[:20])
    for name in ("unsaved", "damaged", "list"):
        write(f"{name}/config.json", (run / "config.json").read_bytes())
    shutil.copytree(run / "checkpoints", root / "damaged" / "checkpoints")
    write("damaged/config.json", b"{")
    write("list/config.json", json.dumps([1]).encode())
    return root


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def contents(*folders):
    """All files with their bytes; who holds a directory may be noted anew."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for folder in folders
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


@pytest.mark.parametrize(
    "mistake", MISTAKES, ids=lambda m: f"{m.command.split()[0]}: {m.item}"
)
def test_a_mistake_is_one_line_and_changes_nothing(
    mistake, files, tmp_path, capfd, caplog, monkeypatch
):
    monkeypatch.delenv("JAXGAN_WEIGHTS", raising=False)
    places = {"files": files, "out": tmp_path}
    before = contents(files, tmp_path)
    arguments = [part.format(**places) for part in mistake.command.split()]
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    out, error = capfd.readouterr()
    assert ended.value.code == 1
    assert error.startswith("error: ") and error.count("\n") == 1, error
    assert mistake.names.format(**places) in error
    assert mistake.advises in error
    assert "Traceback" not in out + error
    assert not [r for r in caplog.records if r.levelno >= 30 and "jaxgan" in r.pathname]
    assert contents(files, tmp_path) == before


def test_the_tests_named_above_exist():
    rows = re.findall(r"\| (\S+\.py)::(\w+) \|", __doc__ or "")
    assert len(rows) >= 7
    for path, name in rows:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"
