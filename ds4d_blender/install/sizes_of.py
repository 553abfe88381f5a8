# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what the packages of a report by pip take: `python sizes_of.py report.json`.

The new environment's Python runs this beside its pip, and asks as pip does: with its certificates,
proxies and settings. Prints a JSON list of bytes, -1 where a server does not say.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from urllib.request import url2pathname


def pips_session():
    """Return pip's own way into the network, None where this pip has another one."""
    try:
        from pip._internal.commands import create_command

        command = create_command("download")
        options, _ = command.parse_args([])
        return command._build_session(options, retries=1, timeout=15)
    except Exception:
        return None


def bytes_of(session, address):
    """Return what one address takes, -1 if unknown."""
    try:
        parts = urlsplit(address)
        if parts.scheme == "file":
            return os.path.getsize(url2pathname(parts.path))
        reply = session.head(address, allow_redirects=True)
        reply.raise_for_status()
        return int(reply.headers["Content-Length"])
    except Exception:
        return -1


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        packages = json.load(file)["install"]
    session = pips_session()
    with ThreadPoolExecutor(8) as pool:
        addresses = [package["download_info"]["url"] for package in packages]
        print(json.dumps(list(pool.map(lambda a: bytes_of(session, a), addresses))))


if __name__ == "__main__":
    main()
