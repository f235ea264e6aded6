"""``python -m napari_dtn.cli``."""

import sys

from napari_dtn.cli import main

sys.exit(main())
