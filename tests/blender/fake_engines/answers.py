# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that answers a short command."""

import json
import sys

print(json.dumps({"able": True, "words": sys.argv[1:]}, indent=2))
