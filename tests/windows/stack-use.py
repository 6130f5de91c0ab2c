#!/usr/bin/env python3
"""Reports the stack use of hvpci.sys from its unwind data and its code, and refuses a frame of 2 KiB or more.

    stack-use.py hvpci.sys [hvpci.map] [--self-test]

An x64 kernel thread has 24 KiB of stack for everybody on it, and a callback of this driver comes on top of the PnP
manager, KMDF and VMBus, so half is the most to think of. The frame of a function is exact: the unwind data says what its
prologue takes. The chains are estimates: direct calls are followed exactly; a call through a vtable is taken to reach the
deepest of all functions whose address the driver's data holds, as often in one chain as is said. What the kernel
takes below a call that leaves the driver is not in it. Needs llvm-objdump-19, and llvm-cxxfilt-19 for the names of the map.
"""

import importlib.util
import pathlib
import re
import struct
import subprocess
import sys

# A twelfth of the stack. Frames here are around 200 bytes; one ten times that is a large value that passes through the
# stack and should not, and two such in one chain are the driver's fair share.
LARGEST_FRAME = 2048
RETURN_ADDRESS = 8
# A task's future is polled through a Box, and polls the platform's futures through another.
INDIRECT = (0, 1, 2)
UWOP_PUSH, UWOP_LARGE, UWOP_SMALL, UWOP_SET_FP, UWOP_SAVE, UWOP_SAVE_FAR, UWOP_XMM, UWOP_XMM_FAR, UWOP_MACHINE = (
    0, 1, 2, 3, 4, 5, 8, 9, 10)
SLOTS = {UWOP_PUSH: 1, UWOP_SMALL: 1, UWOP_SET_FP: 1, UWOP_SAVE: 2, UWOP_SAVE_FAR: 3, UWOP_XMM: 2, UWOP_XMM_FAR: 3,
         UWOP_MACHINE: 1}
CHAINED = 4


def image_of(name):
    path = pathlib.Path(__file__).with_name("check-sys.py")
    spec = importlib.util.spec_from_file_location("check_sys", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Image(pathlib.Path(name).read_bytes())


def stack_of(codes):
    """The bytes that a prologue with these unwind codes takes."""
    total, at = 0, 0
    while at < len(codes):
        operation, info = codes[at] >> 8 & 15, codes[at] >> 12
        if operation == UWOP_LARGE:
            slots = 3 if info else 2
            total += codes[at + 1] | codes[at + 2] << 16 if info else codes[at + 1] * 8
        elif operation in SLOTS:
            slots = SLOTS[operation]
            total += {UWOP_PUSH: 8, UWOP_SMALL: info * 8 + 8, UWOP_MACHINE: 40 + info * 8}.get(operation, 0)
        else:
            raise ValueError(f"unwind operation {operation} is unknown")
        at += slots
    return total


def frames(image):
    """The functions: first address, address after the last, and stack with the return address."""
    def unwind(rva):
        at = image.offset(rva)
        version_flags, _, count, _ = image.data[at : at + 4]
        total = stack_of(struct.unpack_from(f"<{count}H", image.data, at + 4))
        if version_flags >> 3 & CHAINED:
            total += unwind(image.u32(at + 4 + (count + 1) // 2 * 4 + 8))
        return total

    rva, size = image.directory(3)
    at = image.offset(rva)
    for entry in range(at, at + size, 12):
        start, end, info = struct.unpack_from("<III", image.data, entry)
        yield start, end, unwind(info) + RETURN_ADDRESS


def held_addresses(image):
    """The addresses in the code that the image's data holds: vtables. Callbacks for Windows are loaded by code."""
    base = struct.unpack_from("<Q", image.data, image.optional + 24)[0]
    rva, size = image.directory(5)
    at, end = image.offset(rva), image.offset(rva) + size
    while at < end:
        page, length = struct.unpack_from("<II", image.data, at)
        for (entry,) in struct.iter_unpack("<H", image.data[at + 8 : at + length]):
            if entry >> 12 == 10:
                yield struct.unpack_from("<Q", image.data, image.offset(page + (entry & 0xFFF)))[0] - base
        at += length


class Code:
    def __init__(self, name):
        image = image_of(name)
        self.base = struct.unpack_from("<Q", image.data, image.optional + 24)[0]
        self.frame, self.calls, self.indirect = {}, {}, set()
        self.functions = sorted(frames(image))
        for start, _, frame in self.functions:
            self.frame[start] = frame
            self.calls[start] = set()
        self.held = set(held_addresses(image)) & set(self.frame)
        imports, size = image.directory(12)
        listing = subprocess.run(["llvm-objdump-19", "-d", "--no-show-raw-insn", name], check=True, text=True,
                                 capture_output=True).stdout
        for line in listing.splitlines():
            self.instruction(line, imports, imports + size)

    def function_at(self, rva):
        low, high = 0, len(self.functions)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.functions[middle][0] <= rva else (low, middle)
        found = self.functions[low - 1] if low else (0, 0, 0)
        return found[0] if found[0] <= rva < found[1] else None

    def instruction(self, line, imports, imports_end):
        match = re.match(r"\s*([0-9a-f]+):\s+(callq?|jmpq?)\s+(\S.*)", line)
        function = self.function_at(int(match[1], 16) - self.base) if match else None
        if function is None:
            return
        target = re.search(r"#?\s*0x([0-9a-f]{6,})", match[3])
        rva = int(target[1], 16) - self.base if target else None
        if "*" in match[3]:
            # Calls through the import table leave the driver. A jump through a register is a switch.
            if match[2].startswith("call") and not (rva is not None and imports <= rva < imports_end):
                self.indirect.add(function)
        else:
            callee = self.function_at(rva)
            if callee is not None and callee != function:
                self.calls[function].add(callee)

    def deepest(self, hops):
        """The deepest chain with that many indirect calls: bytes and functions. Recursion is cut at its first repetition."""
        self.recursive, best = set(), {}

        def walk(function, left, path):
            if (function, left) in best:
                return best[function, left]
            if function in path:
                self.recursive.add(function)
                return 0, ()
            below = [walk(callee, left, path | {function}) for callee in self.calls[function]]
            if left and function in self.indirect:
                below += [walk(callee, left - 1, frozenset()) for callee in self.held]
            depth, chain = max(below, default=(0, ()))
            best[function, left] = self.frame[function] + depth, (function, *chain)
            return best[function, left]

        return max(walk(function, hops, frozenset()) for function in self.frame)


def names_of(map_file):
    """The names in a map of lld, demangled, by address."""
    found = re.findall(r"^ \d{4}:[0-9a-f]{8}\s+(\S+)\s+([0-9a-f]{16})\s", pathlib.Path(map_file).read_text(), re.M)
    if not found:
        sys.exit(f"{map_file}: no symbols")
    text = "\n".join(name for name, _ in found)
    plain = subprocess.run(["llvm-cxxfilt-19"], input=text, check=True, text=True, capture_output=True).stdout
    return {int(address, 16): name for name, (_, address) in zip(plain.splitlines(), found)}


def self_test():
    """Prologues with known answers, and one that is over the limit."""
    cases = {
        (0x3005, 0x7004, 0x6003, 0xA202): 112,  # three pushes, sub rsp, 0x58
        (0x0107, 0x0100): 0x800,  # a large allocation in eights
        (0x1107, 0x1000, 0x0001): 0x11000,  # a larger one in bytes
        (0x0304, 0x0204): 8,  # a frame register, and sub rsp, 8
    }
    for codes, expected in cases.items():
        if stack_of(codes) != expected:
            sys.exit(f"unwind codes {codes}: {stack_of(codes)} bytes instead of {expected}")
    if not too_large([(0, 4, LARGEST_FRAME)]) or too_large([(0, 4, LARGEST_FRAME - 8)]):
        sys.exit("the limit is not where it should be")


def too_large(functions):
    return [(start, frame) for start, _, frame in functions if frame >= LARGEST_FRAME]


def main(driver, map_file=None):
    sys.setrecursionlimit(10000)
    code = Code(driver)
    if not code.functions or not any(code.calls.values()):
        sys.exit(f"{driver}: no functions found")
    names = names_of(map_file) if map_file else {}

    def name(rva):
        return names.get(code.base + rva, f"{rva:#x}")

    largest = sorted(((frame, start) for start, _, frame in code.functions), reverse=True)
    print(f"{len(code.functions)} functions with a frame; the largest frames:")
    for frame, start in largest[:5]:
        print(f"  {frame:5} bytes  {name(start)}")
    for hops in INDIRECT:
        depth, chain = code.deepest(hops)
        print(f"  {depth:5} bytes  deepest chain of {len(chain)} with {hops} calls through a vtable")
    print("    " + "\n    ".join(f"{code.frame[function]:5} {name(function)}" for function in chain))
    if code.recursive:
        print("recursion, counted once: " + ", ".join(sorted(map(name, code.recursive))))
    bad = too_large(code.functions)
    for start, frame in bad:
        print(f"{driver}: the frame of {name(start)} takes {frame} bytes: {LARGEST_FRAME} is too much")
    return bool(bad)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if "--self-test" in arguments:
        self_test()
        arguments.remove("--self-test")
    elif not arguments:
        sys.exit(__doc__)
    sys.exit(main(*arguments[:2]) if arguments else 0)
