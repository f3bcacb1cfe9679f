"""Input pipelines: sources yield examples by index, tasks turn them into batches.

The only part of the library that imports TensorFlow, and only where image files or
TFDS are read through it.
"""

from jaxgan.data.opening import make_source
from jaxgan.data.pictures import decode
from jaxgan.data.pipeline import prefetch_to_device
from jaxgan.data.sources import Field, Source, example, from_arrays
from jaxgan.data.task import Task
from jaxgan.data.tasks import TASKS, make_task
from jaxgan.data.tfds_source import prepare

__all__ = [
    "TASKS",
    "Field",
    "Source",
    "Task",
    "decode",
    "example",
    "from_arrays",
    "make_source",
    "make_task",
    "prefetch_to_device",
    "prepare",
]
