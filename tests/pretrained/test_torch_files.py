"""PyTorch checkpoints: files that PyTorch wrote, and files that mean harm.

The files in `files/` were written by PyTorch 2.13: the state dict of a convolution and
a batch norm with the probe's weights, as `torch.save` writes it now (`zip`), as it did
before 1.6 (`legacy`), below `state_dict` with `module.` names and parameters
(`wrapped`), and a few tensors of other kinds (`dtypes`).
"""

import io
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.pretrained import probe_tensor
from jaxgan.pretrained.torch_files import read_torch
from tests.pretrained.support import FILES

SHAPES = {
    "0.weight": (3, 2, 3, 3),
    "0.bias": (3,),
    "1.weight": (3,),
    "1.bias": (3,),
    "1.running_mean": (3,),
    "1.running_var": (3,),
}


@pytest.mark.parametrize(
    "name, prefix", [("zip", ""), ("legacy", ""), ("wrapped", "module.")]
)
def test_files_of_pytorch_are_read_without_it(name, prefix):
    assert "torch" not in sys.modules
    arrays = read_torch(FILES / f"{name}.pth")
    assert "torch" not in sys.modules
    assert set(arrays) == {prefix + key for key in (*SHAPES, "1.num_batches_tracked")}
    for key, shape in SHAPES.items():
        np.testing.assert_array_equal(arrays[prefix + key], probe_tensor(key, shape))


def test_half_precision_views_and_scalars_keep_their_values():
    arrays = read_torch(FILES / "dtypes.pth")
    for key in ("half.weight", "brain.weight"):
        np.testing.assert_array_equal(arrays[key], np.float32([[1.5, -2.25]]))
    view = np.arange(24.0).reshape(2, 3, 4).transpose(2, 1, 0)[1:, :, :1]
    np.testing.assert_array_equal(arrays["view.weight"], view)
    assert arrays["scalar.bias"] == 2.5 and arrays["scalar.bias"].shape == ()


class _Pickler(pickle.Pickler):
    """Writes storages by reference, as PyTorch does."""

    def persistent_id(self, obj):
        if type(obj).__name__ == "FloatStorage":
            return ("storage", type(obj), "7", "cuda:0", len(obj.values), None)
        return None


def _legacy(content, *storages, write=_Pickler):
    file = io.BytesIO()
    for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(header, file, 2)
    write(file, 2).dump(content)
    pickle.dump(["7"] * len(storages), file, 2)
    for storage in storages:
        file.write(struct.pack("<q", len(storage.values)))
        file.write(np.asarray(storage.values, "<f4").tobytes())
    return file.getvalue()


@pytest.fixture
def torch_2017(monkeypatch):
    """Modules whose pickles look like those of PyTorch 0.1."""

    class FloatStorage:
        __module__ = "torch"

        def __init__(self, values):
            self.values = values

    class FloatTensor:
        __module__ = "torch"

        def __getstate__(self):
            return self.state

    class Parameter:
        __module__ = "torch.nn.parameter"

        def __getstate__(self):
            return self.state

    for cls in (FloatStorage, FloatTensor, Parameter):
        cls.__qualname__ = cls.__name__
        module = sys.modules.get(cls.__module__) or types.ModuleType(cls.__module__)
        setattr(module, cls.__name__, cls)
        monkeypatch.setitem(sys.modules, cls.__module__, module)
    return types.SimpleNamespace(
        FloatStorage=FloatStorage, FloatTensor=FloatTensor, Parameter=Parameter
    )


def test_files_of_2017_describe_tensors_after_making_them(torch_2017, tmp_path):
    storage = torch_2017.FloatStorage([0, 1, 2, 3, 4, 5, 6])
    tensor = torch_2017.FloatTensor()
    tensor.state = (storage, 1, (2, 3), (3, 1))
    parameter = torch_2017.Parameter()
    parameter.state = (tensor, None, {}, True, False)
    path = tmp_path / "old.pth"
    path.write_bytes(_legacy({"a.weight": parameter, "b.weight": tensor}, storage))
    arrays = read_torch(path)
    for key in ("a.weight", "b.weight"):
        np.testing.assert_array_equal(arrays[key], [[1, 2, 3], [4, 5, 6]])


def test_tensors_that_reach_outside_of_their_storage_are_refused(torch_2017, tmp_path):
    storage = torch_2017.FloatStorage([0, 1, 2, 3])
    path = tmp_path / "outside.pth"
    for state in (
        (storage, 0, (5,), (1,)),
        (storage, -1, (2,), (1,)),
        (storage, 2, (2,), (-1,)),
        (storage, 0, (2, 2), (3, 1)),
    ):
        tensor = torch_2017.FloatTensor()
        tensor.state = state
        path.write_bytes(_legacy({"a.weight": tensor}, storage))
        with pytest.raises(UserError, match="reaches outside of its storage"):
            read_torch(path)


class _Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


def _archive(data, extra=()):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for name in extra:
            archive.writestr(name, b"")
    return file.getvalue()


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("kind", ["zip", "plain", "legacy"])
def test_check_05_a_malicious_checkpoint_does_not_run(kind, protocol, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "evil.pth"
    payload = {"state_dict": {"0.weight": _Evil(marker)}}
    data = pickle.dumps(payload, protocol)
    if kind == "zip":
        path.write_bytes(_archive(data))
    elif kind == "plain":
        path.write_bytes(data)
    else:
        headers = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
        path.write_bytes(b"".join(pickle.dumps(x, 2) for x in headers) + data)
    with pytest.raises(UserError) as caught:
        read_torch(path)
    assert not marker.exists()
    message = str(caught.value)
    assert f"'{open.__module__}.open'" in message  # Python 3.12 calls it _io.open
    assert "can run code when opened; convert it in a sandbox to .safe" in message
    pickle.loads(data)["state_dict"]["0.weight"].close()
    assert marker.exists()  # the payload does work where it is unpickled


def test_checkpoints_with_foreign_objects_name_them(tmp_path):
    path = tmp_path / "options.pth"
    path.write_bytes(_archive(pickle.dumps({"args": types.SimpleNamespace(a=1)}, 2)))
    with pytest.raises(UserError, match="it names 'types.SimpleNamespace', which can"):
        read_torch(path)


def test_torchscript_archives_are_refused(tmp_path):
    path = tmp_path / "inception-2015-12-05.pt"
    path.write_bytes(_archive(pickle.dumps({}, 2), ["archive/constants.pkl"]))
    with pytest.raises(UserError, match="a TorchScript archive can run code"):
        read_torch(path)


@pytest.mark.parametrize("cut", [0, 10, 500, 1200, 1419])
def test_truncated_files_are_named_as_such(cut, tmp_path):
    path = tmp_path / "cut.pth"
    path.write_bytes((FILES / "legacy.pth").read_bytes()[:cut])
    with pytest.raises(UserError, match="cut.pth: no readable PyTorch checkpoint"):
        read_torch(path)


def test_files_without_one_state_dict_say_what_they_hold(tmp_path):
    path = tmp_path / "empty.pth"
    path.write_bytes(_archive(pickle.dumps({"epoch": 3, "lr": 0.1}, 2)))
    with pytest.raises(UserError, match=r"found 0 \(entries: epoch, lr\)"):
        read_torch(path)
