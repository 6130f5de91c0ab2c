#!/usr/bin/env python3
"""Checks of an INX file that need no Windows: structure, references, what a driver package of today has to have.

    lint-inx.py hvpci.inx           lints a file
    lint-inx.py --self-test         mutilates a good file and makes sure that every mutilation is found
"""

import re
import sys

HARDWARE_ID = r"VMBUS\{44C4F61D-4444-4400-9D52-802E27EDE19F}"
SYSTEM_CLASS = "{4d36e97d-e325-11ce-bfc1-08002be10318}"
# Directory 13 (the driver store) needs Windows 10 1709.
FIRST_BUILD = 16299


class Inf:
    """Sections of (line number, key, value), names in lower case."""

    def __init__(self, text):
        self.sections, self.findings, current = {}, [], None
        for number, line in enumerate(text.splitlines(), 1):
            line = re.sub(r';(?=(?:[^"]*"[^"]*")*[^"]*$).*', "", line).strip()
            if not line:
                continue
            if header := re.fullmatch(r"\[([^\]]+)\]", line):
                current = header[1].lower()
                if current in self.sections:
                    self.findings.append(f"line {number}: section [{header[1]}] appears twice")
                self.sections.setdefault(current, [])
            elif current is None:
                self.findings.append(f"line {number}: text before the first section")
            else:
                key, equals, value = line.partition("=")
                self.sections[current].append((number, key.strip(), value.strip() if equals else None))

    def find(self, finding):
        self.findings.append(finding)

    def section(self, name, why=""):
        found = self.sections.get(name.lower())
        if found is None:
            self.find(f"section [{name}] is missing{why}")
        return found or []

    def keys(self, name):
        return {key.lower(): value for _, key, value in self.section(name)}


def parts(value):
    return [part.strip() for part in (value or "").split(",")]


def lint(text):
    inf = Inf(text)
    version = inf.keys("Version")
    for key in ("signature", "class", "classguid", "provider", "catalogfile", "driverver", "pnplockdown"):
        if key not in version:
            inf.find(f"[Version] has no {key}")
    if version.get("signature", "").lower() != '"$windows nt$"':
        inf.find("[Version] Signature is not \"$WINDOWS NT$\"")
    if version.get("classguid", "").lower() != SYSTEM_CLASS:
        inf.find("[Version] ClassGuid is not that of the System class")
    if version.get("pnplockdown") != "1":
        inf.find("[Version] PnpLockdown is not 1")
    if inf.keys("DestinationDirs").get("defaultdestdir") != "13":
        inf.find("[DestinationDirs] DefaultDestDir is not 13, the driver store")
    strings = {key.lower() for _, key, _ in inf.section("Strings")}
    for lines in inf.sections.values():
        for number, key, value in lines:
            for token in re.findall(r"%([^%\s\\]+)%", f"{key} {value or ''}"):
                if not token.isdigit() and token.lower() not in strings:
                    inf.find(f"line {number}: %{token}% is not in [Strings]")
    files(inf)
    models(inf)
    return inf.findings


def files(inf):
    disks = {key.lower() for _, key, _ in inf.section("SourceDisksNames")}
    for number, name, value in inf.section("SourceDisksFiles"):
        if parts(value)[0] not in disks:
            inf.find(f"line {number}: {name} is on disk {parts(value)[0]!r}, which is not in [SourceDisksNames]")


def models(inf):
    found = []
    for number, _, value in inf.section("Manufacturer"):
        base, *decorations = parts(value)
        if not decorations:
            inf.find(f"line {number}: a manufacturer without a decorated model section")
        for decoration in decorations:
            match = re.fullmatch(r"NT(\$ARCH\$|amd64|arm64)\.10\.0\.\.\.(\d+)", decoration, re.I)
            if not match or int(match[2]) < FIRST_BUILD:
                inf.find(f"line {number}: decoration {decoration} is not NT<architecture>.10.0...{FIRST_BUILD} or later")
            for at, _, device in inf.section(f"{base}.{decoration}"):
                install, *ids = parts(device)
                found += [hardware.lower() for hardware in ids]
                installation(inf, at, install)
    if HARDWARE_ID.lower() not in found:
        inf.find(f"no model has the hardware id {HARDWARE_ID}")


def installation(inf, number, name):
    listed = {key.lower() for _, key, _ in inf.section("SourceDisksFiles")}
    copied = set()
    for _, key, value in inf.section(f"{name}.NT", f" (line {number})"):
        if key.lower() == "copyfiles":
            for section in parts(value):
                copied |= {file.lower() for _, file, _ in inf.section(section)}
        elif key.lower() in ("addreg", "delreg", "copyinf", "delfiles", "renfiles"):
            inf.find(f"[{name}.NT] has {key}: not isolated")
    for file in sorted(copied - listed):
        inf.find(f"{file} is copied and not in [SourceDisksFiles]")
    services(inf, name, copied)
    wdf = inf.section(f"{name}.NT.Wdf")
    named = [parts(value)[1:2] for _, key, value in wdf if key.lower() == "kmdfservice"]
    if not named:
        inf.find(f"[{name}.NT.Wdf] has no KmdfService")
    for section in (found[0] for found in named if found):
        if "kmdflibraryversion" not in inf.keys(section):
            inf.find(f"[{section}] has no KmdfLibraryVersion")


def services(inf, name, copied):
    associated = False
    for number, key, value in inf.section(f"{name}.NT.Services"):
        if key.lower() != "addservice":
            continue
        words = parts(value)
        associated |= len(words) > 1 and words[1].lower() in ("0x00000002", "0x2", "2", "%spsvcinst_assocservice%")
        service = inf.keys(words[2]) if len(words) > 2 else {}
        for needed in ("servicetype", "starttype", "errorcontrol", "servicebinary"):
            if needed not in service:
                inf.find(f"line {number}: the service has no {needed}")
        binary = service.get("servicebinary", "")
        if not binary.startswith("%13%\\"):
            inf.find(f"ServiceBinary {binary!r} is not in %13%")
        elif binary[5:].lower() not in copied:
            inf.find(f"ServiceBinary {binary!r} is not among the files that are copied")
        if service.get("servicetype") not in ("1", "%SERVICE_KERNEL_DRIVER%"):
            inf.find(f"ServiceType {service.get('servicetype')!r} is not that of a kernel driver")
    if not associated:
        inf.find(f"[{name}.NT.Services] associates no service with the device")


GOOD = r"""
[Version]
Signature = "$WINDOWS NT$"
Class = System
ClassGuid = {4d36e97d-e325-11ce-bfc1-08002be10318}
Provider = %Provider%
CatalogFile = sample.cat
DriverVer = ; filled in by stampinf
PnpLockdown = 1
[DestinationDirs]
DefaultDestDir = 13
[SourceDisksNames]
1 = %Disk%,,,""
[SourceDisksFiles]
sample.sys = 1,,
[Manufacturer]
%Provider% = Standard,NT$ARCH$.10.0...17763
[Standard.NT$ARCH$.10.0...17763]
%Device% = Bus, VMBUS\{44C4F61D-4444-4400-9D52-802E27EDE19F}
[Bus.NT]
CopyFiles = Files
[Files]
sample.sys
[Bus.NT.Services]
AddService = sample,%SPSVCINST_ASSOCSERVICE%,Service
[Service]
ServiceType = 1
StartType = 3
ErrorControl = 1
ServiceBinary = %13%\sample.sys
[Bus.NT.Wdf]
KmdfService = sample, Wdf
[Wdf]
KmdfLibraryVersion = $KMDFVERSION$
[Strings]
SPSVCINST_ASSOCSERVICE = 0x00000002
Provider = "P"
Disk = "D"
Device = "V"
"""

MUTILATIONS = [
    ("PnpLockdown = 1", "PnpLockdown = 0"),
    ("DefaultDestDir = 13", "DefaultDestDir = 12"),
    ("10.0...17763]", "10.0...17764]"),
    ("10.0...17763\n[Standard", "10.0...10240\n[Standard"),
    ("[Files]\nsample.sys", "[Files]\nother.sys"),
    ("%13%\\sample.sys", "%12%\\sample.sys"),
    ("%13%\\sample.sys", "%13%\\other.sys"),
    ("ErrorControl = 1\n", ""),
    ("KmdfService = sample, Wdf", ""),
    ("KmdfLibraryVersion = $KMDFVERSION$", ""),
    ("44C4F61D", "44C4F61E"),
    ('Device = "V"\n', ""),
    ("sample,%SPSVCINST_ASSOCSERVICE%,", "sample,,"),
    ("sample.sys = 1,,", "sample.sys = 2,,"),
    ("CatalogFile = sample.cat\n", ""),
    ("CopyFiles = Files", "CopyFiles = Files\nAddReg = Registry"),
    ('"$WINDOWS NT$"', '"$CHICAGO$"'),
    ("[Wdf]", "[Files]"),
]


def self_test():
    bad = [f"a good file: {finding}" for finding in lint(GOOD)]
    for old, new in MUTILATIONS:
        if old not in GOOD:
            bad.append(f"{old!r} is not in the good file")
        elif not lint(GOOD.replace(old, new, 1)):
            bad.append(f"{old!r} -> {new!r} was not found")
    print("\n".join(bad) or f"ok: {len(MUTILATIONS)} mutilations found")
    return bool(bad)


def main(name):
    raw = open(name, "rb").read()
    text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    findings = lint(text)
    print("\n".join(f"{name}: {finding}" for finding in findings) or f"ok: {name}")
    return bool(findings)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(self_test() if sys.argv[1] == "--self-test" else main(sys.argv[1]))
