#!/bin/bash
# Make the Autobahn WebSocket test suite (fuzzingclient, fuzzingserver) for Python 3, from PyPI alone.
#
#   setup.sh TARGET          creates TARGET/venv and TARGET/suite; does nothing when both are up to date
#
# The published suite is for Python 2: port.py converts it. Takes half a minute to a minute.
#
# PYTHON=python3.11          the interpreter; default: python3. Tried with CPython 3.11.
# WITH_TLS=1                 installs pyOpenSSL, too, for wss:// URLs
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { echo "usage: $0 TARGET" >&2; exit 64; }
mkdir -p "$1"
target=$(cd "$1" && pwd)
python=${PYTHON:-python3}
suite=25.10.1                        # its cases are those of 0.8.2 but for texts

command -v "$python" >/dev/null || { echo "setup: needs Python 3 ('$python' is not there)" >&2; exit 1; }
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    { echo "setup: '$python' has no venv module (on Debian: the package python3-venv)" >&2; exit 1; }

# Up to date: made by these files, in this place, for this interpreter, and still alive
stamp="$suite|${WITH_TLS:-}|$target|$("$python" -VV 2>&1)|$(cat "$here"/{setup.sh,port.py,requirements.txt} | cksum)"
if [ -f "$target/stamp" ] && [ "$(cat "$target/stamp")" = "$stamp" ] && "$target/venv/bin/python" -c 'import twisted' 2>/dev/null
then
    exit 0
fi

rm -rf "$target/venv" "$target/suite" "$target/wheel" "$target/stamp"
"$python" -m venv "$target/venv"
py="$target/venv/bin/python"
pip() { "$py" -m pip --disable-pip-version-check --no-input -q "$@"; }

# Source archives of 2015: built with a setuptools that still takes them, without what they ask for
pip install setuptools==79.0.1 wheel==0.45.1
pip install --no-build-isolation --no-deps autobahn==0.10.9 txaio==2.1.0
pip install -r "$here/requirements.txt"
# Faster masking and UTF-8 validation, where there is a wheel; else the library does both in Python
pip install --only-binary :all: wsaccel==0.6.7 || echo "setup: no wheel of wsaccel for this Python: the suite is slower" >&2
[ -z "${WITH_TLS:-}" ] || pip install pyopenssl service_identity
"$py" -W ignore -c 'import lib2to3' 2>/dev/null || pip install fissix

# The suite is tagged for Python 2: fetch its wheel, do not install it
pip download --no-deps --python-version 2.7 --implementation py --abi none --platform any \
    --only-binary :all: -d "$target/wheel" "autobahntestsuite==$suite"
"$py" -W ignore "$here/port.py" "$target"/wheel/autobahntestsuite-*.whl "$target/suite"
rm -rf "$target/wheel"

# Self check: all cases are there, and the UTF-8 payloads came through byte for byte
PYTHONPATH="$target/suite" "$py" -W ignore - <<'PY'
import re
import autobahntestsuite.fuzzing as fuzzing
from autobahntestsuite.compat import raw

assert len(fuzzing.Cases) == 517, len(fuzzing.Cases)
checked = 0
for case in fuzzing.Cases:
    if hasattr(case, "isValid"):
        payload = raw(case.PAYLOAD)
        assert bytes.fromhex(re.search(r"Payload: 0x([0-9a-f]*)", case.DESCRIPTION).group(1)) == payload, case
        try:
            payload.decode("utf-8")
            valid = True
        except UnicodeDecodeError:
            valid = False
        assert valid == case.isValid, case
        checked += 1
assert checked == 132, checked
PY
printf '%s' "$stamp" > "$target/stamp"
echo "setup: 517 cases in $target"
