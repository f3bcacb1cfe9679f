"""Commands that compute on a CPU ask for huge pages, once."""

import os
import subprocess
import sys

import pytest

from jaxgan import cli, huge_pages

MADVISE = "always [madvise] never\n"


@pytest.mark.parametrize(
    ("own", "setting", "expected"),
    [
        (None, MADVISE, "glibc.malloc.hugetlb=1"),
        (
            "glibc.malloc.check=1",
            MADVISE,
            "glibc.malloc.check=1:glibc.malloc.hugetlb=1",
        ),
        ("glibc.malloc.hugetlb=0", MADVISE, None),
        (None, "[always] madvise never\n", None),
        (None, "always madvise [never]\n", None),
        (None, "", None),
    ],
)
def test_what_the_variable_becomes(own, setting, expected):
    environment = {} if own is None else {huge_pages.VARIABLE: own}
    assert huge_pages.tunables(environment, setting) == expected


@pytest.mark.parametrize(
    ("arguments", "platforms", "expected"),
    [
        (["--device=cpu"], "", True),
        (["--device=gpu"], "", False),
        (["--device=gpu"], "cpu", False),
        (["--device=auto"], "cpu", True),
        ([], "cuda", False),
    ],
)
def test_where_a_command_computes(arguments, platforms, expected, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    assert huge_pages.computes_on_cpu(arguments) is expected


def test_an_installed_accelerator_is_not_ruled_out(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    find = huge_pages.importlib.util.find_spec
    found = lambda name: find("jaxgan") if name == "libtpu" else None  # noqa: E731
    monkeypatch.setattr(huge_pages.importlib.util, "find_spec", found)
    monkeypatch.setattr(huge_pages.importlib.metadata, "entry_points", lambda group: ())
    assert not huge_pages.computes_on_cpu(["--device=auto"])
    monkeypatch.setattr(huge_pages.importlib.util, "find_spec", lambda name: None)
    assert huge_pages.computes_on_cpu([])


@pytest.mark.skipif(
    not huge_pages.SETTING.is_file()
    or "[madvise]" not in huge_pages.SETTING.read_text(),
    reason="this kernel does not offer huge pages to whom asks for them",
)
def test_the_command_line_starts_once_more_with_the_same_arguments():
    program = (
        "import os, sys; from jaxgan import huge_pages;"
        "huge_pages.ask(sys.argv[1:]);"
        "print(os.getpid(), os.environ['GLIBC_TUNABLES'], *sys.argv[1:])"
    )
    environment = {k: v for k, v in os.environ.items() if k != huge_pages.VARIABLE}
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--device=cpu", "a b"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    output, _ = process.communicate(timeout=60)
    expected = f"{process.pid} glibc.malloc.hugetlb=1 --device=cpu a b"
    assert output.strip() == expected


def test_only_a_real_command_line_starts_again(monkeypatch):
    asked = []
    monkeypatch.setattr(huge_pages, "ask", asked.append)
    for arguments in (["train", "--help"], ["systems", "--help"]):
        with pytest.raises(SystemExit):
            cli.main(arguments)  # in this process, which is not ours to replace
        monkeypatch.setattr(sys, "argv", ["jaxgan", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
    assert asked == [["--help"]]
