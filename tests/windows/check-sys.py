#!/usr/bin/env python3
"""Static checks of hvpci.sys: imports on an allow-list, native subsystem, no section both writable and executable,
relocations and NX, a checksum that is right, and (given two files) the same bytes.

    check-sys.py hvpci.sys [second-build.sys]
"""

import struct
import sys

ALLOWED = {
    "ntoskrnl.exe": """DbgPrint EtwRegister EtwSetInformation EtwUnregister EtwWrite EtwWriteTransfer ExAllocatePool2
        ExFreePool IoGetDmaAdapter IofCompleteRequest KeBugCheckEx KeGetCurrentIrql KeInitializeEvent KeSetEvent
        KeQueryPerformanceCounter KeWaitForSingleObject MmMapIoSpaceEx MmUnmapIoSpace __C_specific_handler __chkstk
        memcmp memcpy memmove memset""",
    "hal.dll": "KeQueryPerformanceCounter",
    "wdfldr.sys": "WdfVersionBind WdfVersionUnbind",
    "vmbkmcl.sys": """VmbChannelAllocate VmbChannelCleanup VmbChannelDisable VmbChannelEnable VmbChannelGetPointer
        VmbChannelInitSetMaximumPacketSize VmbChannelInitSetProcessPacketCallbacks
        VmbChannelInitSetStateChangeCallbacks VmbChannelPacketComplete VmbChannelSetPointer
        VmbClientChannelInitSetRingBufferPageCount VmbClientChannelInitSetTargetPnp VmbPacketAllocate VmbPacketFree
        VmbPacketGetPointer VmbPacketSend VmbPacketSetCompletionRoutine VmbPacketSetPointer""",
}
IMAGE_SCN_MEM_EXECUTE, IMAGE_SCN_MEM_WRITE = 0x20000000, 0x80000000
# DllCharacteristics: high-entropy addresses, relocatable, forced integrity, no execution of data.
CHARACTERISTICS = {0x20: "HIGH_ENTROPY_VA", 0x40: "DYNAMIC_BASE", 0x80: "FORCE_INTEGRITY", 0x100: "NX_COMPAT"}


class Image:
    def __init__(self, data):
        self.data = data
        if data[:2] != b"MZ":
            raise ValueError("no MZ header")
        self.pe = self.u32(0x3C)
        if data[self.pe : self.pe + 4] != b"PE\0\0":
            raise ValueError("no PE header")
        self.machine, count = struct.unpack_from("<HH", data, self.pe + 4)
        size = struct.unpack_from("<H", data, self.pe + 20)[0]
        self.optional = self.pe + 24
        table = self.optional + size
        self.sections = []
        for at in range(table, table + 40 * count, 40):
            name = data[at : at + 8].rstrip(b"\0").decode()
            self.sections.append((name, *struct.unpack_from("<IIII", data, at + 8), self.u32(at + 36)))

    def u32(self, at):
        return struct.unpack_from("<I", self.data, at)[0]

    def directory(self, index):
        return struct.unpack_from("<II", self.data, self.optional + 112 + 8 * index)

    def offset(self, rva):
        for _, size, address, raw_size, raw, _ in self.sections:
            if address <= rva < address + max(size, raw_size):
                return raw + rva - address
        raise ValueError(f"address {rva:#x} is in no section")

    def text(self, rva):
        at = self.offset(rva)
        return self.data[at : self.data.index(b"\0", at)].decode()

    def imports(self):
        at, size = self.directory(1)
        if not size:
            return
        at = self.offset(at)
        while self.u32(at + 12):
            dll = self.text(self.u32(at + 12))
            thunk = self.offset(self.u32(at))
            while entry := struct.unpack_from("<Q", self.data, thunk)[0]:
                yield dll, f"#{entry & 0xFFFF}" if entry >> 63 else self.text(entry + 2)
                thunk += 8
            at += 20

    def checksum(self):
        """The checksum of the PE format: 16-bit ones' complement sum without the field itself, plus the length."""
        field = self.optional + 64
        body = self.data[:field] + b"\0\0\0\0" + self.data[field + 4 :]
        total = sum(struct.unpack(f"<{(len(body) + 1) // 2}H", body + b"\0" * (len(body) % 2)))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return total + len(body)


def check(data):
    image, bad = Image(data), []
    if image.machine != 0x8664:
        bad.append(f"machine {image.machine:#x} is not x64")
    subsystem, flags = struct.unpack_from("<HH", data, image.optional + 68)
    if subsystem != 1:
        bad.append(f"subsystem {subsystem} is not native")
    bad += [f"{name} is not set" for bit, name in CHARACTERISTICS.items() if not flags & bit]
    names = [section[0] for section in image.sections]
    bad += [f"there is no section {name}" for name in (".text", ".pdata", ".reloc") if name not in names]
    for name, *_, flags in image.sections:
        if flags & IMAGE_SCN_MEM_EXECUTE and flags & IMAGE_SCN_MEM_WRITE:
            bad.append(f"section {name} is both writable and executable")
    for dll, name in image.imports():
        if name not in ALLOWED.get(dll.lower(), "").split():
            bad.append(f"import {dll}!{name} is not on the allow-list")
    if image.u32(image.optional + 64) != image.checksum():
        bad.append(f"checksum {image.u32(image.optional + 64):#x} is not {image.checksum():#x}")
    return image, bad


def main(files):
    data = [open(name, "rb").read() for name in files]
    image, bad = check(data[0])
    if len(data) > 1 and data[0] != data[1]:
        where = next((at for at, (a, b) in enumerate(zip(*data)) if a != b), min(map(len, data)))
        bad.append(f"the two builds differ from offset {where:#x} on")
    for line in bad:
        print(f"{files[0]}: {line}")
    if not bad:
        sizes = ", ".join(f"{name} {size}" for name, size, *_ in image.sections)
        imports = len(list(image.imports()))
        same = "; two builds are the same" if len(data) > 1 else ""
        print(f"ok: {len(data[0])} bytes ({sizes}), {imports} imports{same}")
    return bool(bad)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:3]))
