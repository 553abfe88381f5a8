# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that ends before it says anything."""

import sys

sys.exit(3)
