#!/usr/bin/env python3
"""A second opinion on hvpci.sys: Speakeasy, an independent Windows emulator, maps it, binds its imports, emulates its
entry point up to WdfDriverCreate, and the driver reports success. Needs `pip install speakeasy-emulator==1.5.11`.

    speakeasy-smoke.py hvpci.sys
"""

import logging
import sys

from speakeasy import Speakeasy

STATUS_SUCCESS = 0


def main(path):
    logging.disable(logging.CRITICAL)
    emulator = Speakeasy()
    calls, created = [], []
    module = emulator.load_module(path)

    def hook(library, name, count, answer):
        # Exceptions in hooks are swallowed by Speakeasy: they note what happened and nothing else.
        def called(_emulator, _api, _original, arguments):
            calls.append(name)
            return answer(arguments)

        emulator.add_api_hook(called, library, name, argc=count)

    def driver_created(_emulator, _api, original, arguments):
        calls.append("WdfDriverCreate")
        created.append(int.from_bytes(emulator.mem_read(arguments[4], 4), "little"))
        created.append(int.from_bytes(emulator.mem_read(arguments[4] + 8, 8), "little"))
        return original(arguments)

    hook("ntoskrnl", "ExAllocatePool2", 3, lambda arguments: emulator.mem_alloc(arguments[1]))
    hook("ntoskrnl", "EtwRegister", 4, lambda _: STATUS_SUCCESS)
    hook("ntoskrnl", "EtwSetInformation", 4, lambda _: STATUS_SUCCESS)
    hook("ntoskrnl", "EtwWriteTransfer", 6, lambda _: STATUS_SUCCESS)
    emulator.add_api_hook(driver_created, "wdfldr", "WdfDriverCreate", argc=6)
    emulator.run_module(module)

    bad = []
    if len(created) != 2:
        bad.append(f"WdfDriverCreate was not called; calls: {calls}")
    else:
        size, add = created
        if size != 32:
            bad.append(f"WDF_DRIVER_CONFIG.Size is {size}")
        if not module.get_base() <= add < module.get_base() + module.get_image_size():
            bad.append(f"EvtDriverDeviceAdd {add:#x} is not in the driver")
    for entry in emulator.get_report()["entry_points"]:
        if error := entry.get("error"):
            bad.append(f"{entry['ep_type']}: {error}")
        elif entry.get("ep_type") == "entry_point" and int(str(entry.get("ret_val", "0x0")), 16) != STATUS_SUCCESS:
            bad.append(f"the entry point returned {entry['ret_val']}")
    print("\n".join(bad) or f"ok: Speakeasy emulated the entry point; calls: {', '.join(calls)}")
    return bool(bad)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
