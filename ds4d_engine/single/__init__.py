# SPDX-License-Identifier: GPL-3.0-or-later
"""What one camera shows of a moving subject: a closed shape guessed from its outline, tracks."""
