#!/bin/bash
# Makes the import libraries that the driver links with, and the project's own FxDriverEntry in the place of the WDK's.
#
#   tests/windows/libs.sh folder
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
sources=$here/standin/libs
out=${1:?usage: libs.sh folder}
mkdir -p "$out"

for name in ntoskrnl hal wmilib vmbkmcl; do
    llvm-dlltool-19 -m i386:x86-64 -d "$sources/$name.def" -l "$out/$name.lib"
done
llvm-dlltool-19 -m i386:x86-64 -d "$sources/wdfldr.def" -l "$out/WdfLdr.lib"
compile=(clang-19 --target=x86_64-pc-windows-msvc -O2 -ffreestanding -fno-stack-protector -c)
"${compile[@]}" "$sources/wdfentry.c" -o "$out/wdfentry.obj"
"${compile[@]}" "$sources/empty.c" -o "$out/empty.obj"
llvm-lib-19 /nologo "/out:$out/WdfDriverEntry.lib" "$out/wdfentry.obj"
llvm-lib-19 /nologo "/out:$out/BufferOverflowFastFailK.lib" "$out/empty.obj"
