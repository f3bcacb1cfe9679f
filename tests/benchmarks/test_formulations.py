"""Forms of a choice are equal before they are timed, and unequal ones refused."""

import json

import jax
import jax.numpy as jnp
import pytest

from benchmarks import formulations
from benchmarks.choices import CHOICES, Choice, Form, Setting
from jaxgan.core import UserError

SMALL = Setting(small=True)
X = jax.ShapeDtypeStruct((3, 4), jnp.float32)


@pytest.fixture
def quick(monkeypatch):
    """Windows of one call."""
    monkeypatch.setattr(formulations, "WINDOW", 0.0)


@pytest.mark.parametrize("name", CHOICES)
def test_forms_that_claim_it_are_equal(name):
    choice = CHOICES[name](SMALL)
    assert len(choice.forms) >= 2 and CHOICES[name].__doc__
    assert not next(iter(choice.forms.values())).differs
    formulations.check(choice)
    formulations.check_types(CHOICES[name](SMALL._replace(dtype="bfloat16")))


def test_full_size_has_published_layers():
    full = CHOICES["transposed_k3"](Setting(batch=2))
    x, kernel = full.arguments
    assert x.shape == (2, 64, 64, 256) and kernel.shape == (3, 3, 128, 256)
    params, *_ = CHOICES["optimiser"](Setting()).arguments
    assert sum(p.size for p in jax.tree.leaves(params)) == 54_413_955


WRONG = {
    "results": Form(lambda x: jnp.sin(x) * 1.001),
    "gradients": Form(lambda x: jax.lax.stop_gradient(jnp.sin(x) - x) + x),
    "no number": Form(lambda x: jnp.sin(x) + jnp.nan),
    "permuted": Form(jnp.sin, leave=lambda y: y[::-1]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_form_is_refused(name):
    choice = Choice((X,), {"ours": Form(jnp.sin), "theirs": WRONG[name]})
    with pytest.raises(formulations.UnequalError, match="'theirs' differ.*'ours'"):
        formulations.check(choice)
    said = {"ours": Form(jnp.sin), "theirs": WRONG[name]._replace(differs="by design")}
    formulations.check(choice._replace(forms=said))


def test_another_dtype_is_refused():
    wide = Form(lambda x: x.astype(jnp.float32))
    forms = {"ours": Form(jnp.sin), "theirs": wide}
    x = jax.ShapeDtypeStruct((3,), jnp.bfloat16)
    with pytest.raises(formulations.UnequalError, match="float32.*bfloat16"):
        formulations.check_types(Choice((x,), forms))


def test_what_is_held_otherwise_is_compared_as_ours():
    turned = Form(jnp.sin, lambda x: (x.T,), lambda y: y.T)
    formulations.check(Choice((X,), {"ours": Form(jnp.sin), "theirs": turned}))


def test_forms_take_turns(quick):
    ran = []
    calls = {name: lambda name=name: ran.append(name) for name in "ab"}
    seconds = formulations.take_turns(calls, rounds=3)
    assert {name: len(each) for name, each in seconds.items()} == {"a": 3, "b": 3}
    assert "".join(ran)[-6:] == "ababab"


def test_a_page_has_a_line_a_form_and_says_what_is_kept(quick, tmp_path, capsys):
    output = tmp_path / "rows.md"
    flags = ["--size=small", "--rounds=2", "--only=transposed_k4,image_pool"]
    flags += ["--topology=cpu:8", f"--output={output}"]
    assert formulations.main(["formulations", *flags]) == 0
    rows = [
        json.loads(x) for x in output.with_suffix(".jsonl").read_text().splitlines()
    ]
    assert [row["kept"] for row in rows] == [True, False] * 2
    for row in rows:
        assert 0 < row["ms_min"] <= row["ms_median"] <= row["ms_max"]
        # The same program, compiled for the same processor.
        assert row["planned"]["cpu:8"]["flops"] == pytest.approx(row["flops"], rel=1e-4)
        if row["kept"]:
            assert row["ratio_median"] == 1
    page = output.read_text()
    assert "DCGAN (torch), up3 at batch 8: 4x4, 128 -> 64; cut down, float32." in page
    assert "| cpu:8 (float32): GFLOP | MB | temp MB |" in page
    assert "| image_pool | gather and scatter | fori_loop |" in page
    assert capsys.readouterr().out == page


def test_a_choice_that_fails_leaves_the_others(quick, monkeypatch, capsys):
    def broken(s):
        """A layer."""
        return Choice((X,), {"ours": Form(jnp.sin), "theirs": Form(jnp.cos)})

    monkeypatch.setitem(formulations.CHOICES, "broken", broken)
    flags = ["--size=small", "--rounds=1", "--only=broken,instance_norm"]
    assert formulations.main(["formulations", *flags]) == 1
    page = capsys.readouterr().out
    assert "Failed: `broken`: the results of 'theirs' differ" in page
    assert "| instance_norm | one pass, float32 |" in page


def test_unknown_choices_are_refused_with_what_there_is():
    with pytest.raises(UserError, match="did you mean 'twins'.*padding, instance_norm"):
        formulations.main(["formulations", "--only=padding,twin"])


def test_topologies_are_planned_for_on_the_cpu():
    with pytest.raises(UserError, match="--topology and --device=gpu"):
        formulations.main(["formulations", "--topology=h200:1", "--device=gpu"])
