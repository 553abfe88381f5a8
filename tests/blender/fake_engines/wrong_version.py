# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine of another time."""

import speak

speak.hello(7, 8)
speak.heard()
