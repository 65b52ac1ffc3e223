#!/bin/bash
# Installs the peers: a virtual environment TARGET/venv and the packages TARGET/node/node_modules.
#
#   setup.sh TARGET          does nothing when both are up to date
#
# PYTHON=python3.11          the interpreter; default: python3. Tried with CPython 3.11 and Node 20.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { echo "usage: $0 TARGET" >&2; exit 64; }
mkdir -p "$1"
target=$(cd "$1" && pwd)
python=${PYTHON:-python3}

for program in "$python" node npm; do
    command -v "$program" >/dev/null || { echo "setup: '$program' is not there" >&2; exit 1; }
done
node -e 'const [a, b, c] = process.versions.node.split(".").map(Number)
    process.exit(a > 20 || (a === 20 && (b > 18 || (b === 18 && c >= 1))) ? 0 : 1)' ||
    { echo "setup: Node.js 20.18.1 or later is needed, and this is $(node --version)" >&2; exit 1; }
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    { echo "setup: '$python' has no venv module (on Debian: the package python3-venv)" >&2; exit 1; }

# Up to date: made by these files, in this place, for these interpreters, and still alive
sources=("$here/setup.sh" "$here/python/requirements.txt" "$here"/node/{package.json,package-lock.json,.npmrc})
stamp="$target|$("$python" -VV 2>&1)|$(node --version)|$(cat "${sources[@]}" | cksum)"
if [ -f "$target/stamp" ] && [ "$(cat "$target/stamp")" = "$stamp" ] && [ -d "$target/node/node_modules/ws" ] &&
    "$target/venv/bin/python" -c 'import aiohttp, h2, hypercorn, websockets, wsproto' 2>/dev/null
then
    exit 0
fi

rm -rf "$target/venv" "$target/node" "$target/stamp"
"$python" -m venv "$target/venv"
"$target/venv/bin/python" -m pip --disable-pip-version-check --no-input -q install -r "$here/python/requirements.txt"

mkdir "$target/node"
cp "$here"/node/{package.json,package-lock.json,.npmrc} "$target/node"
(cd "$target/node" && npm ci --loglevel=error --no-fund --no-audit)

printf '%s' "$stamp" > "$target/stamp"
echo "setup: the peers are in $target"
