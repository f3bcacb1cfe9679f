"""Builders of data sets that TFDS lacks; each module is imported when it is named."""
