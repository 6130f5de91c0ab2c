#!/bin/sh
# Checks a built module: check.sh MODULE-DIRECTORY KDIR VERSION. `make -C backend-linux check` calls it.
#
# 1. objtool of that kernel, with the options it uses for its own modules, finds nothing;
# 2. the shim compiles without a warning at W=1, and modpost has nothing to say;
# 3. no instruction touches SSE, MMX or x87 registers;
# 4. no stack frame reaches 2 KiB;
# 5. the Rust object needs nothing but memcpy and its like, the thunks and the shim;
# 6. text and data stay under 256 KiB;
# 7. modinfo says what it should, and no alias would have udev load the module;
# 8. loads and stores of the config window come in three widths, each followed by a full barrier;
# 9. the functions that docs/install-linux.md names for tracers are there and can be traced.
set -eu
module=$1 kdir=$2 version=$3
here=$(cd "$(dirname "$0")" && pwd)
ko=$module/hvpci.ko
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
	echo "check: $*" >&2
	failed=1
}

# The distribution's driver for this kernel, unpacked: STOCK=, or where the kernel's package puts it.
stock_module() {
	release=$(basename "$module")
	for file in "${STOCK:-}" /lib/modules/"$release"/kernel/drivers/pci/controller/pci-hyperv.ko*; do
		[ -f "$file" ] || continue
		case $file in
		*.xz) xz -dc "$file" >"$work/stock.ko" ;;
		*.zst) zstd -qdc "$file" >"$work/stock.ko" ;;
		*.gz) gzip -dc "$file" >"$work/stock.ko" ;;
		*) cp "$file" "$work/stock.ko" ;;
		esac
		echo "$work/stock.ko"
		return
	done
}

# 1, 2: kbuild runs objtool on the Rust object (or, with IBT, on the whole module) with the options of that kernel. It has
# done its work when there is unwind information for Rust's code.
touch "$module"/shim/*.c "$module/rust.bin.o"
make -C "$kdir" M="$module" HVPCI_VERSION="$version" W=1 modules >"$work/build.log" 2>&1 || fail "the build failed"
grep -iE 'warning|error:|objtool' "$work/build.log" >&2 && fail "the build has warnings"
readelf -S -W "$ko" | grep -q '\.orc_unwind_ip' || fail "objtool has not run: there is no unwind information"
grep -q RSOBJ "$work/build.log" || fail "the Rust object was not looked at"

# 3, 4
objdump -d --no-show-raw-insn "$ko" >"$work/code"
grep -qE '%([xyz]mm[0-9]+|mm[0-7]|st)' "$work/code" && fail "there is an SSE, MMX or x87 instruction"
awk '
	/^[0-9a-f]+ <.*>:$/ { name = $2 }
	match($0, /sub +\$0x[0-9a-f]+,%rsp/) {
		text = substr($0, RSTART, RLENGTH); sub(/.*\$0x/, "", text); sub(/,.*/, "", text)
		value = 0
		for (i = 1; i <= length(text); i++)
			value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
		frame[name] += value
	}
	END {
		for (name in frame) {
			if (frame[name] >= 2048) { print "check: stack frame of " frame[name] " bytes in " name; bad = 1 }
			if (frame[name] > largest) largest = frame[name]
		}
		print "check: largest stack frame " largest " bytes"
		exit bad
	}' "$work/code" >&2 || failed=1

# 5
nm -u "$module/rust.bin.o" | awk '{ print $2 }' |
	grep -vxE 'mem(cpy|move|set|cmp)|__x86_(return_thunk|indirect_thunk_.*)|hvpci_shim_.*' >&2 &&
	fail "the Rust object needs more than it should"
readelf -r "$module/rust.bin.o" | grep -q GOTPCREL && fail "there is a GOT relocation, which the module loader refuses"

# 6
size=$(size "$ko" | awk 'NR == 2 { print $1 + $2 }')
echo "check: text and data $size bytes" >&2
stock=$(stock_module)
if [ -n "$stock" ]; then
	echo "check: pci-hyperv.ko has $(size "$stock" | awk 'NR == 2 { print $1 + $2 }') bytes" >&2
else
	echo "check: no pci-hyperv.ko of this kernel to compare with (STOCK=)" >&2
fi
[ "$size" -le 262144 ] || fail "text and data are over 256 KiB"

# 7
objcopy -O binary -j .modinfo "$ko" "$work/modinfo"
tr '\0' '\n' <"$work/modinfo" >"$work/modinfo.txt"
for key in license author description version parm:policy parm:version parm:log_level depends vermagic; do
	case $key in
	parm:*) pattern="^parm=${key#parm:}:" ;;
	*) pattern="^$key=" ;;
	esac
	grep -q "$pattern" "$work/modinfo.txt" || fail "modinfo lacks $key"
done
grep -q '^alias=' "$work/modinfo.txt" && fail "there is an alias: udev would load the module"
grep -qx 'license=Dual MIT/GPL' "$work/modinfo.txt" || fail "the license is not Dual MIT/GPL"

# 8. Where a load or a store of the window ends (at a plain pointer: the shim's own struct is reached with an offset), the next instruction, or the
# one that is jumped to, is mfence.
for function in hvpci_shim_select hvpci_shim_window_read hvpci_shim_window_write; do
	awk -v function_="$function" '
		$0 ~ "^[0-9a-f]+ <" function_ ">:$" { inside = 1; next }
		/^$/ { inside = 0 }
		!inside { next }
		{
			address = $1; sub(/:$/, "", address)
			text = $0; sub(/^[^\t]*\t/, "", text); sub(/ +$/, "", text)
			order[++lines] = address; instruction[address] = text
		}
		END {
			for (line = 1; line <= lines; line++) {
				text = instruction[order[line]]
				# a plain pointer: the shim reaches its own struct with an offset
				if (text !~ /^mov[a-z]* +(%[a-z0-9]+,\(%r[a-z0-9]+\)|\(%r[a-z0-9]+\),%[a-z0-9]+)$/)
					continue
				accesses++
				fenced = 0
				for (next_ = line + 1; next_ <= line + 6 && next_ <= lines; next_++) {
					after = instruction[order[next_]]
					if (after ~ /^jmp /) {
						split(after, words, " +"); after = instruction[words[2]]
					}
					if (after ~ /^mfence/) { fenced = 1; break }
					# between them, values are moved about in registers at most
					if (after !~ /^(mov|movz|movzwl|movzbl) +%[a-z0-9]+,%[a-z0-9]+$/) break
				}
				if (!fenced) { print "check: no barrier after " text " in " function_; bad = 1 }
			}
			wanted = function_ == "hvpci_shim_select" ? 1 : 3
			if (accesses != wanted) {
				print "check: " function_ " has " accesses + 0 " accesses to the window, not " wanted
				bad = 1
			}
			exit bad
		}' "$work/code" >&2 || failed=1
done

# 9. The paragraph names them in quotes. What ftrace can see begins with a call of __fentry__.
documented=$(sed -n '/^Kprobes and ftrace see/,/^$/p' "$here/../docs/install-linux.md" | grep -o '`hvpci_[a-z_]*`' | tr -d '`')
[ -n "$documented" ] || fail "docs/install-linux.md names no function to trace"
objdump -dr --no-show-raw-insn "$ko" >"$work/relocations"
for function in $documented; do
	awk -v function_="$function" '
		$0 ~ "^[0-9a-f]+ <" function_ ">:$" { inside = 1 }
		/^$/ { inside = 0 }
		inside && /__fentry__/ { found = 1 }
		END { exit !found }' "$work/relocations" || fail "$function, which docs/install-linux.md names, is not there to be traced"
done

# The numbers both halves compare when the module is loaded.
c_abi=$(sed -n 's/^#define HVPCI_ABI //p' "$here/shim/rust.h")
rust_abi=$(sed -n 's/^pub const ABI: u32 = \(.*\);/\1/p' "$here/src/ffi.rs")
[ "$c_abi" = "$rust_abi" ] || fail "shim/rust.h has ABI $c_abi, src/ffi.rs $rust_abi"

[ $failed = 0 ] && echo "check: $ko is clean" >&2
exit $failed
