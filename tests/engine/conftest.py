# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine tests run with one torch thread: on tiny tensors more of them only wait for each other."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
