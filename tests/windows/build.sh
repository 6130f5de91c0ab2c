#!/bin/bash
# Builds hvpci.sys on Linux with the stand-ins for wdk-sys and wdk-build. Needs Debian's rustc-web, cargo-web, rust-web-src,
# lld-19, llvm-19 and clang-19. The result is printed on the last line.
#
#   tests/windows/build.sh [out-dir] [cargo arguments, such as --features seed-panic]
#   tests/windows/build.sh out-dir --clippy     looks the driver's source over instead, with warnings as errors
#
# The out-dir (default: target/windows) receives libs/, the cargo target folder and hvpci.sys with hvpci.map and hvpci.pdb.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-$root/target/windows}
shift || true
clippy=
if [ "${1:-}" = --clippy ]; then
    shift
    clippy=yes
fi
mkdir -p "$out/libs"
out=$(cd "$out" && pwd)
libs=$out/libs
standin=$here/standin

"$here/libs.sh" "$libs"

unset RUSTUP_TOOLCHAIN RUSTFLAGS CARGO_ENCODED_RUSTFLAGS WDKContentRoot
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 WDK_STANDIN_LIBS=$libs CARGO_TARGET_DIR=$out/cargo
cd "$root/backend-windows/driver"
triple=x86_64-pc-windows-msvc
# The same bytes from every machine: no time stamps, no paths.
reproducible="'-Clink-arg=/Brepro', '-Clink-arg=/RELEASE', '-Clink-arg=/PDBALTPATH:hvpci.pdb', '-Clink-arg=/MAP',
    '--remap-path-prefix=$root=/hvpci', '--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo'"
# The PDB's id, which the driver carries, differs from build to build: NO_PDB=1 leaves the PDB out, and then the bytes agree.
[ -z "${NO_PDB:-}" ] || reproducible="$reproducible, '-Clink-arg=/DEBUG:NONE'"
# A lock file of its own, in which the stand-ins are: the committed one names the genuine crates, and the versions of the rest.
cp Cargo.lock "$out/Cargo.lock"
command=(/usr/bin/cargo build)
# Debian's own, of the same version as the compiler.
[ -z "$clippy" ] || command=(env CARGO=/usr/bin/cargo /usr/bin/cargo-clippy clippy)
[ -z "$clippy" ] || set -- "$@" -- -D warnings
nice -n 10 "${command[@]}" --release -Zbuild-std=core,alloc --target $triple \
    --config "target.$triple.linker='lld-link-19'" \
    --config "target.$triple.rustflags=[$(echo $reproducible)]" \
    --config "patch.crates-io.wdk-sys.path='$standin/wdk-sys'" \
    --config "patch.crates-io.wdk-build.path='$standin/wdk-build'" \
    -Zlockfile-path --config "resolver.lockfile-path='$out/Cargo.lock'" \
    "$@"
if [ -n "$clippy" ]; then
    python3 "$here/genuine/compare-lock.py" Cargo.lock "$out/Cargo.lock"
    exit
fi
cp "$CARGO_TARGET_DIR/$triple/release/hvpci.dll" "$out/hvpci.sys"
cp "$CARGO_TARGET_DIR/$triple/release/hvpci.pdb" "$out/hvpci.pdb" 2>/dev/null || true
# Names for stack-use.py.
cp "$CARGO_TARGET_DIR/$triple/release/deps/hvpci.map" "$out/hvpci.map"
python3 "$here/genuine/compare-lock.py" Cargo.lock "$out/Cargo.lock"
echo "$out/hvpci.sys"
