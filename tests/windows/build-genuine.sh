#!/bin/bash
# Builds hvpci.sys on Linux with the genuine wdk crates of crates.io: the same driver source and manifest as on Windows, not
# edited. In the place of the WDK stands a folder made of Debian's mingw-w64 headers and the project's own KMDF subset
# (genuine/wdf.h); wdk-build is patched from its registry source at the four places where it refuses Linux, and the windows
# crate, which does not compile here, is replaced (genuine/windows). Needs Debian's rustc-web, cargo-web, rust-web-src,
# lld-19, llvm-19, clang-19, libclang1-19, python3 and mingw-w64-common. The result is printed on the last line.
#
#   tests/windows/build-genuine.sh [out-dir] [cargo arguments]
#   tests/windows/build-genuine.sh out-dir --layout [cargo arguments]    checks layout-genuine instead of linking
#
# The out-dir (default: target/windows/genuine) receives wdk/, wdk-build/, the lock file in use and hvpci.sys with hvpci.map.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
driver=$root/backend-windows/driver
genuine=$here/genuine
out=${1:-$root/target/windows/genuine}
shift || true
crate=$driver
command=(build)
if [ "${1:-}" = --layout ]; then
    shift
    crate=$here/layout-genuine
    command=(check)
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
unset RUSTUP_TOOLCHAIN RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR Version_Number
export RUSTC=/usr/bin/rustc
cargo=/usr/bin/cargo
# Takes FOLDER.new for FOLDER. An unchanged folder keeps its time stamps, so that nothing is built again.
keep() {
    if diff -rq "$1" "$1.new" >/dev/null 2>&1; then rm -rf "$1.new"; else rm -rf "$1" && mv "$1.new" "$1"; fi
}

# A folder laid out as the WDK is. Only what wdk-build asks for: headers of the kernel, of KMDF, and libraries.
mingw=/usr/share/mingw-w64/include
[ -f $mingw/ddk/ntifs.h ] || { echo "$mingw/ddk has no headers: install mingw-w64-common" >&2; exit 1; }
wdk=$out/wdk
version=10.0.26100.0
rm -rf "$wdk.new"
mkdir -p "$wdk.new/Include/$version/km/crt" "$wdk.new/Include/$version/km/ufx/1.1" "$wdk.new/Include/wdf/kmdf/1.33" \
    "$wdk.new/Lib/$version/km/x64" "$wdk.new/Lib/wdf/kmdf/x64/1.33"
cp -rs $mingw "$wdk.new/Include/$version/shared"
rm -r "$wdk.new/Include/$version/shared/ddk"
cp -s $mingw/ddk/*.h "$wdk.new/Include/$version/km/"
# Before Debian's header of the same name on the search path: includes that one, and adds what it does not know.
cp "$genuine"/km/*.h "$wdk.new/Include/$version/km/crt/"
cp "$genuine"/wdf*.h "$wdk.new/Include/wdf/kmdf/1.33/"
"$here/libs.sh" "$wdk.new/Lib/$version/km/x64"
mv "$wdk.new/Lib/$version/km/x64"/Wdf*.lib "$wdk.new/Lib/wdf/kmdf/x64/1.33/"
keep "$wdk"

# The crates of the committed lock file, by its checksums.
(cd "$driver" && "$cargo" fetch --locked --quiet)
registry=$(cd "$driver" && "$cargo" metadata --locked --offline --format-version 1 | python3 -c '
import json, sys
found = [p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "wdk-build"]
sys.exit("wdk-build is not in the lock file") if len(found) != 1 else print(found[0].removesuffix("/Cargo.toml"))')
python3 "$genuine/patch-wdk-build.py" "$registry" "$out/wdk-build.new"
keep "$out/wdk-build"

export RUSTC_BOOTSTRAP=1 WDKContentRoot=$wdk LIBCLANG_PATH=/usr/lib/llvm-19/lib
# wdk-build reads the driver's settings from the manifest above its output folder, so the output lies there.
export CARGO_TARGET_DIR=$driver/target/genuine
# wdk-macros keeps what it has read of the function table, and does not see that the header has changed.
[ ! -d "$CARGO_TARGET_DIR" ] || find "$CARGO_TARGET_DIR" -name cached_function_info_map.json -delete
# mingw's headers are for the GNU flavour of the target; the layouts of the two agree. AMX types do not translate to Rust.
flavour="--target=x86_64-w64-windows-gnu -fno-ms-compatibility -w -D__AMXINTRIN_H -D__AMX_FP16INTRIN_H -D__AMX_COMPLEXINTRIN_H"
export BINDGEN_EXTRA_CLANG_ARGS="$flavour -isystem $("clang-19" -print-resource-dir)/include"
export CC_x86_64_pc_windows_msvc=clang-19 AR_x86_64_pc_windows_msvc=llvm-lib-19 CFLAGS_x86_64_pc_windows_msvc="$flavour"
triple=x86_64-pc-windows-msvc
reproducible="'-Clink-arg=/Brepro', '-Clink-arg=/RELEASE', '-Clink-arg=/PDBALTPATH:hvpci.pdb', '-Clink-arg=/DEBUG:NONE',
    '--remap-path-prefix=$root=/hvpci', '--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo'"
# The committed lock file names the genuine crates; a copy of it loses the two that are patched and what only they need.
lock=$out/Cargo.lock
cp "$crate/Cargo.lock" "$lock"
arguments=(--release --offline -Zbuild-std=core,alloc --target $triple
    --config "target.$triple.linker='lld-link-19'"
    --config "target.$triple.rustflags=[$(echo $reproducible)]"
    --config "patch.crates-io.wdk-build.path='$out/wdk-build'"
    --config "patch.crates-io.windows.path='$genuine/windows'"
    -Zlockfile-path --config "resolver.lockfile-path='$lock'")
cd "$crate"
nice -n 10 "$cargo" "${command[@]}" "${arguments[@]}" "$@"
python3 "$genuine/compare-lock.py" "$crate/Cargo.lock" "$lock"
if [ "${command[0]}" = build ]; then
    cp "$CARGO_TARGET_DIR/$triple/release/hvpci.dll" "$out/hvpci.sys"
    cp "$CARGO_TARGET_DIR/$triple/release/deps/hvpci.map" "$out/hvpci.map"
    echo "$out/hvpci.sys"
fi
