#!/usr/bin/env python3
"""Turn the Python 2 wheel of `autobahntestsuite` (PyPI) into a Python 3 package.

usage: port.py WHEEL DESTDIR

Only the fuzzer is ported (fuzzing, caseset, report, case/*, testdata); the WAMP,
echo, wsperf and testee parts are left out, and with them klein, jinja2, ...

The idea: Python 2 `str` is a byte string.  Its exact model in Python 3 is a `str`
that holds only U+0000..U+00FF (latin-1).  So the case files are read as latin-1,
kept as they are, and bytes are converted where they enter and leave the protocol
object (class Boundary in compat.py, below).  len, slices, indexing, chr(), +, ==
then mean what they meant in Python 2.

Every substitution states how often it must match; a different upstream version
makes this script stop instead of producing something half converted.
"""
import os
import re
import shutil
import sys
import zipfile

try:
    from lib2to3.refactor import RefactoringTool
    FIX = "lib2to3.fixes.fix_"
except ImportError:                      # Python >= 3.13
    from fissix.refactor import RefactoringTool
    FIX = "fissix.fixes.fix_"

COMPAT = '''
"""Python 2 string semantics for the ported cases (written by port.py)."""
import binascii as _binascii, os as _os, sys as _sys

try:
    from twisted.internet import ssl
except ImportError:                      # no pyOpenSSL: ws:// only
    class ssl:
        @staticmethod
        def ClientContextFactory():
            return None


def text(x):
    """bytes -> Python 2 like str (latin-1)"""
    return x.decode("latin-1") if isinstance(x, (bytes, bytearray, memoryview)) else x


def raw(x):
    """Python 2 like str -> bytes"""
    return x.encode("latin-1") if isinstance(x, str) else x


def pretty(x):
    """undo the latin-1 reading of UTF-8 source text, for reports"""
    try:
        return x.encode("latin-1").decode("utf-8")
    except (UnicodeError, AttributeError):
        return x


def jsonable(x):
    if isinstance(x, (bytes, bytearray, memoryview)):
        return bytes(x).decode("latin-1")
    raise TypeError("not serializable: %r" % type(x))


def resource_filename(_package, rel):
    return _os.path.join(_os.path.dirname(_os.path.abspath(__file__)), rel)


def b2a_hex(x):
    return _binascii.b2a_hex(raw(x)).decode("ascii")


hexlify = b2a_hex
binascii = pkg_resources = _sys.modules[__name__]


class Boundary:
    """Sits before autobahn's protocol class in the MRO: str in, bytes out."""

    def sendFrame(self, opcode, payload=b"", fin=True, rsv=0, mask=None,
                  payload_len=None, chopsize=None, sync=False):
        payload = raw(payload)
        if payload_len is not None:
            # autobahn 0.10.9 divides with "/" here, which is Python 2 only
            if payload_len == 0:
                payload = b""
            else:
                payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        super().sendFrame(opcode, payload=payload, fin=fin, rsv=rsv, mask=mask,
                          chopsize=chopsize, sync=sync)

    def sendMessage(self, payload, *a, **kw):
        super().sendMessage(raw(payload), *a, **kw)

    def sendMessageFrame(self, payload, sync=False):
        return super().sendMessageFrame(raw(payload), sync)

    def sendMessageFrameData(self, payload, sync=False):
        return super().sendMessageFrameData(raw(payload), sync)

    def sendPing(self, payload=None):
        super().sendPing(raw(payload))

    def sendPong(self, payload=None):
        super().sendPong(raw(payload))

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        super().sendCloseFrame(code, raw(reasonUtf8), isReply)
'''


def sub(src, pattern, repl, want, flags=re.M):
    """re.sub that insists on the number of matches (want: int, or '+' for >= 1)"""
    new, n = re.subn(pattern, repl, src, flags=flags)
    if not (n >= 1 if want == "+" else n == want):
        sys.exit("port.py: %r matched %d times, expected %s" % (pattern, n, want))
    return new


def main(wheel, dest):
    tool = RefactoringTool([FIX + n for n in ("print", "except", "has_key", "xrange", "raise")])

    def py3(src, name):
        return str(tool.refactor_string(src if src.endswith("\n") else src + "\n", name))

    pkg = os.path.join(dest, "autobahntestsuite")
    shutil.rmtree(pkg, ignore_errors=True)
    os.makedirs(os.path.join(pkg, "case"))

    def put(rel, src):
        with open(os.path.join(pkg, rel), "w", encoding="utf-8") as f:
            f.write(src)

    z = zipfile.ZipFile(wheel)

    def get(rel):
        s = z.read("autobahntestsuite/" + rel).decode("latin-1")     # one char per byte
        return s.replace("\r\n", "\n")

    # --- data
    for n in z.namelist():
        if re.match(r"autobahntestsuite/(testdata|web/fuzzingserver)/.", n):
            z.extract(n, dest)

    put("compat.py", COMPAT)
    put("_version.py", get("_version.py"))
    put("__init__.py", "from ._version import __version__\nversion = __version__\n")
    put("caseset.py", sub(py3(get("caseset.py"), "caseset.py"), r"replace\('\.', '\\\.'\)",
                          r"replace('.', '\\\\.')", 3))
    # style sheets and scripts only; the rest is the WAMP report (jinja2)
    put("report.py", re.search(r"^CSS_COMMON = .*?(?=^REPORT_DIR_PERMISSIONS)", get("report.py"), re.M | re.S).group())

    # --- fuzzing.py
    s = py3(get("fuzzing.py"), "fuzzing.py")
    s = sub(s, r"^from (case|caseset|report) import", r"from .\1 import", 3)
    s = sub(s, r"^import os, json, binascii, time, textwrap, pkg_resources$",
            "import os, json, time, textwrap\nfrom . import compat\n"
            "from .compat import binascii, pkg_resources, ssl", 1)
    s = sub(s, r"^from twisted\.internet import reactor, ssl$", "from twisted.internet import reactor", 1)
    s = sub(s, r"^class FuzzingProtocol:", "class FuzzingProtocol(compat.Boundary):", 1)
    # logging helpers: hex and text of byte strings
    s = sub(s, r"^(def asciiLogData\(.*\n   ellipses = .*\n)", r"\1   data = compat.raw(data)\n", 1)
    s = sub(s, r"^         dd = data\[:maxlen\] \+ ellipses$", "         dd = data[:maxlen] + ellipses.encode()", 1)
    s = sub(s, r"p = ''\.join\(payload\)", "p = b''.join(payload)", 1)
    # what comes in
    s = sub(s, r"^(   def onMessage\(self, msg, binary\):\n)", r"\1\n      msg = compat.text(msg)\n", 1)
    s = sub(s, r"^(   def onPong\(self, payload\):\n)", r"\1\n      payload = compat.text(payload)\n", 1)
    # direct command mode wants UTF-8 bytes; str.encode does that already.
    # results and reports
    s = sub(s, r"self\.http_(request|response)_data if", r"compat.text(self.http_\1_data) if", 2)
    s = sub(s, r'self\.Case\.(DESCRIPTION|EXPECTATION),', r"compat.pretty(self.Case.\1),", 2)
    s = sub(s, r"% CCase\.(DESCRIPTION|EXPECTATION)\)", r"% compat.pretty(CCase.\1))", 2)
    s = sub(s, r"open\(os\.path\.join\(outdir, report_filename\), 'w'\)",
            "open(os.path.join(outdir, report_filename), 'w', encoding = 'utf-8', errors = 'surrogateescape')", 4)
    s = sub(s, r'\)\.encode\("utf-8"\)\)$', "))", 1)
    s = sub(s, r"ll\.encode\('utf8'\)", "ll", 1)
    s = sub(s, r"json\.dumps\(case, ", "json.dumps(case, default = compat.jsonable, ", 1)
    # upstream listens on all interfaces
    s = sub(s, r"listenWS\(factory, sslContext\)", 'listenWS(factory, sslContext, interface = spec["interface"])', 1)
    s = sub(s, r"putChild\('cwd'", "putChild(b'cwd'", 1)
    put("fuzzing.py", s)

    # --- cases
    names = sorted(n.split("/")[-1] for n in z.namelist()
                   if re.match(r"autobahntestsuite/case/\w+\.py$", n))
    for name in names:
        if name == "case9_9_1.py":          # never part of the suite (unlimited size)
            continue
        s = get("case/" + name)
        s = re.sub(r"^# coding=utf-8\n", "", s)
        s = re.sub(r"^from (case\w*) import", r"from .\1 import", s, flags=re.M)
        s = re.sub(r"\(object, Case, \)", "(Case, )", s)
        s = re.sub(r"^import binascii$", "from ..compat import binascii", s, flags=re.M)
        if name == "__init__.py":
            s = sub(s, r"^from \.case9_9_1 import \*$", "", 1)
        elif name == "case.py":
            # the intent of comparing pickles; pickles also depend on object identity
            s = sub(s, r"pickle\.dumps\(obj1\) == pickle\.dumps\(obj2\)", "obj1 == obj2", 1)
        elif name == "case10_1_1.py":
            s = sub(s, r"len\(self\.payload\) / ", "len(self.payload) // ", 1)
        elif name == "case6_x_x.py":
            s = sub(s, r"v\.validate\(vss\[:i\]\)", "v.validate(vss[:i].encode('latin-1'))", 1)
        elif name == "case12_x_x.py":
            s = sub(s, r"^import copy, os, pkg_resources, hashlib, binascii$",
                    "import copy, os, hashlib\nfrom ..compat import pkg_resources, binascii, raw", 1)
            s = sub(s, r"^(def onMessage\(self, msg, binary\):\n)", r"\1   msg = raw(msg)\n", 1)
        put("case/" + name, py3(s, name))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: port.py WHEEL DESTDIR")
    main(*sys.argv[1:])
