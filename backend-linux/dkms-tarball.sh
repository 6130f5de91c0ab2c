#!/bin/sh
# Makes the source tarball for DKMS: dkms-tarball.sh OUT VERSION CARGO. `make -C backend-linux dkms-tarball` calls it.
#
# It has the three crates of the module, the crates they need (cargo vendor), and dkms.conf. What the library of the compiler needs
# comes with the library's source (rust-web-src, rust-src), of the compiler's version: see VENDOR in the Makefile.
set -eu
out=$1 version=$2 cargo=$3
here=$(cd "$(dirname "$0")" && pwd)
name=hvpci-$version
stage=$out/$name
rm -rf "$stage"
mkdir -p "$stage/core" "$stage/sync" "$stage/backend-linux"
cd "$here/.."
cp LICENSE-MIT LICENSE-APACHE "$stage"
cp -R core/src "$stage/core"
cp -R sync/src "$stage/sync"
cp -R backend-linux/src backend-linux/shim "$stage/backend-linux"
for file in Cargo.toml Kbuild Makefile check.sh LICENSE-GPL-2.0; do
	cp "backend-linux/$file" "$stage/backend-linux"
done
sed "s/#MODULE_VERSION#/$version/" backend-linux/dkms.conf >"$stage/dkms.conf"
mkdir "$stage/docs"
cp docs/install-linux.md "$stage/docs"
# A workspace of the three crates, without what only their tests need.
sed -e 's/^members = .*/members = ["core", "sync", "backend-linux"]/' -e '/^exclude = /d' -e '/^default-members = /d' \
	-e '/^# /d' Cargo.toml >"$stage/Cargo.toml"
awk '/^\[/ { tests = ($0 == "[dev-dependencies]") } !tests' core/Cargo.toml >"$stage/core/Cargo.toml"
cp sync/Cargo.toml "$stage/sync"
find "$stage/core/src" -type d \( -name tests -o -name testdata \) -prune -exec rm -rf {} +
find "$stage/core/src" -name tests.rs -exec rm {} +
cp Cargo.lock "$stage"
# Takes the versions of the lock file and drops the rest of it.
(cd "$stage" && "$cargo" vendor --quiet --versioned-dirs vendor >/dev/null)
tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner -czf "$out/hvpci-dkms-$version.tar.gz" "$name"
rm -rf "$stage"
echo "$out/hvpci-dkms-$version.tar.gz"
