"""Rows as lines of JSON."""

from jaxgan.core.json_lines import json_line


def test_rows_are_strict_json():
    line = json_line({"psnr": float("inf"), "l1": 0.5, "name": "x"})
    assert line == '{"psnr": null, "l1": 0.5, "name": "x"}\n'
