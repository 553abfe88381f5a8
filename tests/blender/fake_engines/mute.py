# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that never says anything."""

import time

time.sleep(600)
