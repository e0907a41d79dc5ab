"""Makes `python -m keras_drift_cli` the command `keras-drift`."""

import sys

from keras_drift_cli.main import main

sys.exit(main())
