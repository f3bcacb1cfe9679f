"""Metrics, one a file; all but the small helpers follow one pattern.

`update(acc, batch, weight) -> acc`, `merge(a, b) -> acc` and `result(acc) -> row`: the
work on a batch is compiled, may be split over a mesh and ignores rows of weight 0; what
is accumulated is exact or float64, on the host, and does not depend on how images were
grouped into batches. Metrics of single images (`psnr`, `ssim`, `pixel`, `sharpness`)
return one value an image and are gathered by `per_image`. Images enter as uint8, or as
float in [-1, 1] that is quantised on entry.

scikit-learn, scikit-image and SciPy are optional (the extra `evaluation`).
"""
