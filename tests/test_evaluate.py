"""`jaxgan evaluate` from end to end, inside this process."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from jaxgan import evaluate, train
from jaxgan.core.errors import UserError
from jaxgan.evaluation import feature_network, protocols, segmenter
from jaxgan.evaluation.protocols.setting import STATIC_KEY
from jaxgan.pretrained import LoadedWeights
from tests.evaluation import stubs
from tests.evaluation.stubs import noise

CITYSCAPES = "--config.evaluation.palette=cityscapes"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few steps, and of a few figures while it trained."""
    workdir = tmp_path_factory.mktemp("runs") / "gan"
    train.main(
        [
            "jaxgan train",
            "--config=gan:tiny",
            f"--workdir={workdir}",
            "--config.training.num_steps=2",
            "--config.training.evaluate_every=2",
            "--config.training.checkpoint_every=1",
            "--config.training.sample_every=0",
        ]
    )
    return workdir


def call(*flags):
    evaluate.main(["jaxgan evaluate", *map(str, flags)])


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_figures_are_printed_and_appended(run, capsys):
    call(f"--workdir={run}", "--num_examples=8")
    out = capsys.readouterr().out
    lines = dict(line.split() for line in out.splitlines())
    row = rows(run / "evaluation.jsonl")[-1]
    assert row["step"] == 2 and row["split"] == "test" and row["weights"] == "ema"
    assert row["seed"] == STATIC_KEY and row["parzen/num_test"] == 8
    assert float(lines["parzen"]) == pytest.approx(row["parzen"], rel=1e-5)
    assert "step" not in lines and "seed" not in lines
    # A metric and its baselines stand together.
    names = list(lines)
    assert names.index("nearest_training/real_images") > names.index("nearest_training")
    count = len(rows(run / "evaluation.jsonl"))
    call(f"--workdir={run}", "--num_examples=8", "--nowrite")
    assert len(rows(run / "evaluation.jsonl")) == count


def test_a_run_is_judged_on_all_devices_or_on_as_many_as_are_wanted(run, monkeypatch):
    meshes = []

    def figures(system, variables, frozen, config, mesh, split):
        meshes.append(mesh)
        return {"x": 1.0}

    monkeypatch.setattr(protocols, "evaluate", figures)
    call(f"--workdir={run}", "--nowrite")
    call(f"--workdir={run}", "--nowrite", "--config.devices.data=2")
    assert [mesh.size for mesh in meshes] == [8, 2]


def test_the_step_is_that_of_the_checkpoint_that_could_be_read(run, tmp_path):
    """The newest is damaged: the one before is judged, and named in the row."""
    copy = shutil.copytree(run, tmp_path / "run")
    for path in (copy / "checkpoints" / "2" / "networks").rglob("d/*"):
        path.write_bytes(b"")
    call(f"--workdir={copy}", "--num_examples=8")
    assert rows(copy / "evaluation.jsonl")[-1]["step"] == 1


def test_figures_are_those_of_the_training_and_of_every_batch_size(run, tmp_path):
    path = tmp_path / "own.jsonl"
    call(f"--workdir={run}", f"--output={path}")
    call(f"--workdir={run}", f"--output={path}", "--config.evaluation.batch_size=5")
    first, second = rows(path)
    trained = [
        row
        for row in rows(run / "metrics.jsonl")
        if any(key.startswith("evaluation/") for key in row)
    ][-1]
    for key in ("parzen", "nearest_training", "memorisation/nearest_16"):
        assert second[key] == pytest.approx(first[key], rel=1e-5)
        assert trained[f"evaluation/{key}"] == pytest.approx(first[key], rel=1e-5)


def test_fid_of_a_run_names_its_network_and_its_statistics(run, tmp_path, monkeypatch):
    network = dataclasses.replace(
        stubs.feature_network(), classifier=np.eye(6, dtype=np.float32)
    )
    monkeypatch.setattr(feature_network, "require", lambda options, pretrained: None)
    monkeypatch.setattr(feature_network, "load", lambda options, pretrained: network)
    path, stats = tmp_path / "rows.jsonl", tmp_path / "stats.npz"
    flags = (f"--workdir={run}", f"--output={path}", "--features=inception")
    call(*flags, f"--write_reference={stats}")
    call(*flags, f"--reference={stats}")
    first, second = rows(path)
    assert first["features/sha256"] == "0" * 64
    assert first["features/variant"] == "clean" and first["features"] == "inception"
    assert first["fid/clean/num_samples"] == 16
    assert {"is/clean", "is/clean/std", "is/clean/real_images"} <= first.keys()
    assert first["is/clean/num_samples"] == 16 and first["is/clean/splits"] == 10
    assert second["fid/clean"] == pytest.approx(first["fid/clean"], rel=1e-9)
    assert second["features/reference"] == str(stats) and "kid/clean" not in second
    with pytest.raises(UserError, match="'missing.npz' not found"):
        call(*flags, "--reference=missing.npz")
    with np.load(stats) as stored:  # as pytorch-fid writes them
        np.savez(stats, mu=stored["mu"], sigma=stored["sigma"])
    with pytest.raises(UserError, match="do not say which variant"):
        call(*flags, f"--reference={stats}")
    call(*flags, f"--reference={stats}", "--fid_variant=clean")
    assert rows(path)[-1]["fid/clean"] == pytest.approx(first["fid/clean"], rel=1e-9)


@pytest.fixture
def folders(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        for i, image in enumerate(noise(seed, 3, 16, 16, 3)):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    return f"--images_a={tmp_path}/a", f"--images_b={tmp_path}/b"


def test_two_folders_without_a_run(folders, tmp_path, capsys):
    call(*folders, f"--output={tmp_path}/rows.jsonl")
    row = rows(tmp_path / "rows.jsonl")[0]
    a, b = (noise(i, 3, 16, 16, 3).astype(float) for i in (0, 1))
    assert row["l1"] == pytest.approx(np.abs(a - b).mean() / 127.5, rel=1e-5)
    assert row["images_a"].endswith("/a") and row["num_pairs"] == 3
    assert capsys.readouterr().out.split()[0] == "psnr"


def test_pretrained_nets_check_07_random_is_refused(run, folders, tmp_path):
    features = ("--features=inception", "--inception=random")
    for flags in (folders, (f"--workdir={run}",)):
        path = tmp_path / "rows.jsonl"
        with pytest.raises(UserError, match="=random: .*pass --allow_random_features"):
            call(*flags, *features, f"--output={path}")
        assert not path.exists()


def test_lpips_needs_weights(run, monkeypatch):
    monkeypatch.delenv("JAXGAN_WEIGHTS", raising=False)
    with pytest.raises(UserError, match="LPIPS: AlexNet weights not found.*alexnet="):
        call(f"--workdir={run}", "--lpips=alex", "--nowrite")
    random = [f"--config.pretrained.{n}=random" for n in ("alexnet", "lpips_alex")]
    with pytest.raises(UserError, match="alexnet=random: LPIPS of random weights"):
        call(f"--workdir={run}", "--lpips=alex", "--nowrite", *random)


@pytest.mark.slow
@pytest.mark.picked
def test_metrics_check_10_random_features_only_with_leave(folders, tmp_path, capsys):
    features = ("--features=inception", "--inception=random")
    with pytest.raises(UserError, match="--allow_random_features"):
        call(*folders, *features)
    own = ("--fid_variant=jax_fid", "--fid_size=75")
    few = ("--config.evaluation.batch_size=3", "--config.devices.data=1")
    path = tmp_path / "r.jsonl"
    call(*folders, *features, "--allow_random_features", *few, *own, f"--output={path}")
    row = rows(path)[0]
    assert row["random_fid/jax_fid_75"] > 0 and row["features/sha256"] == "random"
    assert not any(key.startswith(("fid", "kid")) for key in row)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give either --workdir, .*or --images_a"),
        (["--workdir=RUN", "--images_a=x"], "give either --workdir"),
        (["--workdir=/nowhere"], "/nowhere is not a run directory"),
        (["--workdir=RUN", "--features=vgg"], "flag --features=vgg"),
        (["--workdir=RUN", "--features=inception"], "weights not found: set pretrain"),
        (
            ["--workdir=RUN", "--features=inception", "--inception=/no.npz"],
            "weights not found .no file /no.npz.: set pretrained.inception_fid=PATH",
        ),
        (["--workdir=RUN", "--config.evaluation.mask=x"], "did you mean .*masks"),
        (["--workdir=RUN", "--source=folder:/no"], "no such folder"),
        (["--workdir=RUN", "--output=/no/such/file"], "cannot write .*--nowrite"),
        (["--workdir=RUN", "--segmenter=fcn8s"], "evaluation.palette=cityscapes"),
        (
            ["--workdir=RUN", "--segmenter=fcn8s", CITYSCAPES],
            "segmenter=fcn8s: gan does not translate label maps",
        ),
        (["--workdir=RUN", "--segmenter=fcn16"], "flag --segmenter=fcn16"),
        (["--images_a=x", "--segmenter=fcn8s"], "--segmenter goes with --workdir"),
        (["--images_a=/no"], "/no: there is no such folder"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_mistakes_are_one_line(run, flags, message, monkeypatch):
    monkeypatch.delenv("JAXGAN_WEIGHTS", raising=False)
    with pytest.raises(UserError, match=message) as raised:
        call(*(flag.replace("RUN", str(run)) for flag in flags))
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def translations(tmp_path_factory):
    """A run from label pictures to photographs, and Cityscapes' label files."""
    folder = tmp_path_factory.mktemp("cityscapes")
    for part in ("pairs/A", "pairs/B", "gtFine"):
        (folder / part).mkdir(parents=True)
    for i, image in enumerate(noise(2, 10, 32, 32, 3)):
        for part in "AB":
            path = folder / "pairs" / part / f"ulm_{i}_leftImg8bit.png"
            Image.fromarray(image).save(path)
        labels = np.random.default_rng(i).integers(0, 34, (40, 80), np.uint8)
        path = folder / "gtFine" / f"ulm_{i}_gtFine_labelIds.png"
        Image.fromarray(labels).save(path)
    train.main(
        [
            "jaxgan train",
            "--config=pix2pix:tiny",
            f"--workdir={folder}/run",
            f"--config.data.source=folder:{folder}/pairs",
            "--config.data.fields=None",
            "--config.evaluation.labels_in=stored_b",
            CITYSCAPES,
            "--config.data.direction=BtoA",
            "--config.training.num_steps=1",
            "--config.training.sample_every=0",
        ]
    )
    return folder


def test_weights_of_a_segmenter_that_are_missing(translations, monkeypatch):
    monkeypatch.delenv("JAXGAN_WEIGHTS", raising=False)
    flags = (f"--workdir={translations}/run", "--segmenter=fcn8s")
    with pytest.raises(UserError, match="the FCN score: FCN-8s .* not found: set pre"):
        call(*flags)
    with pytest.raises(UserError, match="no file /no.npz.*fcn-8s-cityscapes.caffemode"):
        call(*flags, "--fcn8s=/no.npz")
    with pytest.raises(UserError, match="fcn8s=random: .*--allow_random_features"):
        call(*flags, "--fcn8s=random")


def test_the_fcn_score_of_a_run_names_segmenter_and_truth(translations, monkeypatch):
    weights = LoadedWeights({}, "fcn8s", "cityscapes", "random", "random")
    own = segmenter.PretrainedSegmenter("fcn8s", weights, (1024, 2048))
    monkeypatch.setattr(segmenter, "_load", lambda name, source: own)
    monkeypatch.setattr(
        segmenter, "_classes", lambda weights, images: images[..., 0].astype(np.int32)
    )
    flags = (
        *(f"--workdir={translations}/run", "--segmenter=fcn8s", "--fcn8s=random"),
        *("--allow_random_features", "--num_examples=1"),
    )
    maps = f"folder:{translations}/gtFine"
    call(*flags, f"--label_maps={maps}", f"--output={translations}/rows.jsonl")
    row = rows(translations / "rows.jsonl")[-1]
    assert row["segmenter"] == "fcn8s" and row["segmenter/sha256"] == "random"
    assert row["segmenter/truth"] == f"{maps}, at full size"
    assert 0 <= row["random_iou"] < 0.5 and "iou" not in row
    assert 1000 < row["random_num_pixels"] < 40 * 80
    assert "random_iou/real_images" in row


def test_lack_of_memory_names_what_helps(run, monkeypatch):
    def evaluate_(*_, **__):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(protocols, "evaluate", evaluate_)
    with pytest.raises(UserError, match="lower --config.evaluation.batch_size"):
        call(f"--workdir={run}")


def test_training_asks_for_the_weights_of_its_evaluation_first(tmp_path, monkeypatch):
    monkeypatch.delenv("JAXGAN_WEIGHTS", raising=False)
    flags = [
        "jaxgan train",
        "--config=gan:tiny",
        f"--workdir={tmp_path}/run",
        "--config.training.evaluate_every=2",
        "--config.evaluation.features=inception",
    ]
    with pytest.raises(UserError, match="FID and KID: Inception-v3"):
        train.main(flags)
    assert not (tmp_path / "run").exists()
