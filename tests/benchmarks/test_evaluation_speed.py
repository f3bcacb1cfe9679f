"""The benchmark of the evaluation measures what it names."""

from benchmarks import evaluation_speed


def test_frechet_step_of_few_dimensions_is_a_row():
    row = evaluation_speed.frechet_step(dimension=8, repetitions=1)
    assert "8 dimensions" in row["what"]
    assert 0 < row["seconds"] < 60


def test_page_has_a_line_for_every_row():
    rows = [
        evaluation_speed.frechet_step(dimension=4, repetitions=1),
        {"what": "features", "batch_size": 64, "seconds": 2.0, "load_before": 0.0}
        | {"images_per_second": 32.0},
    ]
    page = evaluation_speed.page(rows, "python -m benchmarks.evaluation_speed")
    assert "| features | 64 | 2 | 32 |" in page
    assert "| Frechet distance, 4 dimensions, on the host | - |" in page
