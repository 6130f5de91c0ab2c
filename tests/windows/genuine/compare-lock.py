#!/usr/bin/env python3
"""Whether a lock file that cargo adapted to patched crates still names, of crates.io, only what the committed one names:
the same versions with the same checksums.

    compare-lock.py committed/Cargo.lock adapted/Cargo.lock
"""

import sys
import tomllib


def packages(name):
    with open(name, "rb") as file:
        return {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(file)["package"]}


def main(committed, adapted):
    expected, found = packages(committed), packages(adapted)
    fetched = {package: checksum for package, checksum in found.items() if checksum}
    strange = [package for package, checksum in fetched.items() if expected.get(package) != checksum]
    for name, version in sorted(strange):
        print(f"{adapted}: {name} {version} is not in {committed} with this checksum", file=sys.stderr)
    if not fetched:
        print(f"{adapted}: nothing of crates.io in it", file=sys.stderr)
    return bool(strange) or not fetched


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
