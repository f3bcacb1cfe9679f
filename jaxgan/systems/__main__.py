"""`python -m jaxgan.systems` is `jaxgan systems`."""

import sys

from jaxgan.cli import main

if __name__ == "__main__":
    main(["systems", *sys.argv[1:]])
