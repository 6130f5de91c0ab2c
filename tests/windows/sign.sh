#!/bin/bash
# Signs hvpci.sys with a throw-away test certificate, with page hashes, and verifies the signature. Needs openssl and
# osslsigncode. Such a driver loads only where test signing is on (docs/install-windows.md).
#
#   tests/windows/sign.sh hvpci.sys [signed.sys]
set -euo pipefail
driver=${1:?usage: sign.sh hvpci.sys [signed.sys]}
signed=${2:-${driver%.sys}-signed.sys}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

openssl req -x509 -newkey rsa:3072 -sha256 -nodes -days 30 -subj "/CN=hvpci test signing" \
    -addext "extendedKeyUsage=codeSigning" -addext "keyUsage=digitalSignature" \
    -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
rm -f "$signed"
osslsigncode sign -h sha256 -ph -n "hvpci test build" -certs "$folder/cert.pem" -key "$folder/key.pem" \
    -in "$driver" -out "$signed" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
osslsigncode verify -CAfile "$folder/cert.pem" -in "$signed" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
grep -q "Page hash" "$folder/log" || { echo "the signature has no page hashes" >&2; cat "$folder/log" >&2; exit 1; }

# A verification that cannot fail proves nothing: one changed byte of code has to be noticed.
python3 - "$signed" "$folder/changed.sys" <<'PYTHON'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[0x1000] ^= 1
open(sys.argv[2], "wb").write(data)
PYTHON
if osslsigncode verify -CAfile "$folder/cert.pem" -in "$folder/changed.sys" >/dev/null 2>&1; then
    echo "a changed driver still verifies" >&2
    exit 1
fi
echo "$signed"
