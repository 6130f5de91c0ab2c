#!/usr/bin/env python3
"""Copies the genuine wdk-build with the four places changed at which it refuses a host that is not Windows. A place that
does not look as expected ends the run: then wdk-build has changed, and this script has to be looked at again.

    patch-wdk-build.py registry-source destination
"""

import pathlib
import re
import shutil
import sys

VERSION = "0.6.0"
# The callers are wdk-build's cargo-make tasks, which nothing here runs: the functions only have to compile.
SET = """{
    // SAFETY: called by single-threaded cargo-make tasks only.
    unsafe { env::set_var(key, value) }
}
"""
REMOVE = """{
    // SAFETY: called by single-threaded cargo-make tasks only.
    unsafe { env::remove_var(key) }
}
"""
REFUSAL = r"\{\n    compile_error!\(\n(?:        .*\n)+    \);\n\}\n"


def replace(path, pattern, text, count):
    """Replaces exactly `count` places."""
    source = path.read_text()
    changed, found = re.subn(pattern, text, source)
    if found != count:
        sys.exit(f"{path}: {found} places match {pattern!r}, not {count}: wdk-build has changed")
    path.write_text(changed)


def main(source, destination):
    source, destination = pathlib.Path(source), pathlib.Path(destination)
    if f'name = "wdk-build"\nversion = "{VERSION}"' not in (source / "Cargo.toml").read_text():
        sys.exit(f"{source}: not wdk-build {VERSION}")
    shutil.rmtree(destination, ignore_errors=True)
    shutil.copytree(source, destination, ignore=shutil.ignore_patterns("Cargo.lock", ".cargo*"))
    utils, make = destination / "src/utils.rs", destination / "src/cargo_make.rs"
    set_head = r"pub fn set_var<K, V>\()_key: K, _value: V(\)\nwhere\n(?:    .*\n)+)"
    replace(utils, f"({set_head}{REFUSAL}", lambda m: f"{m[1]}key: K, value: V{m[2]}{SET}", 1)
    remove_head = r"pub fn remove_var<K>\()_key: K(\)\nwhere\n(?:    .*\n)+)"
    replace(utils, f"({remove_head}{REFUSAL}", lambda m: f"{m[1]}key: K{m[2]}{REMOVE}", 1)
    replace(make, r"std::os::windows::fs::symlink_file\(", "std::os::unix::fs::symlink(", 2)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
