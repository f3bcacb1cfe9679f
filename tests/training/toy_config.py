"""The config of `Toy`, as an entry point loads it."""

from ml_collections import ConfigDict

VARIANTS = ("tiny", "short")


def get_config(variant: str = "tiny") -> ConfigDict:
    config = ConfigDict()
    config.name = "toy"
    config.dtype = "float32"
    config.devices = ConfigDict({"data": 1, "model": 1})
    config.system = ConfigDict(
        {
            "width": 8,
            "warmup_steps": 7 if variant == "tiny" else 2,
            "adversarial_steps": 9 if variant == "tiny" else 2,
            "learning_rate": 0.05,
            "layers": [1, 2],
            "explode_at": -1,
            "waste": 0,
            "pretrained_network": "",
        }
    )
    config.data = ConfigDict({"task": "toy", "source": "toy", "image_size": 4})
    config.training = ConfigDict(
        {
            "batch_size": 8,
            "log_every": 1,
            "checkpoint_every": 4,
            "sample_every": 8,
            "sample_count": 2,
        }
    )
    return config
