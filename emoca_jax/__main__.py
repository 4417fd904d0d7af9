"""`python -m emoca_jax` is `emoca`."""

import sys

from emoca_jax.cli import main

sys.exit(main())
