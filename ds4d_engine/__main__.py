# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the command line as `python -m ds4d_engine`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
