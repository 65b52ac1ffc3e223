#!/usr/bin/env python3
"""Run the ported Autobahn test suite (see setup.sh) against a WebSocket server or client.

  wstest3.py fuzzingclient --serve 'my-echo-server {port}' --outdir DIR [CASE ...]
  wstest3.py fuzzingclient --url ws://127.0.0.1:PORT       --outdir DIR [CASE ...]
  wstest3.py fuzzingserver --client 'my-test-client {url}' --outdir DIR [CASE ...]
  wstest3.py fuzzingserver --url ws://127.0.0.1:PORT       --outdir DIR [CASE ...]

--serve and --client take a free loopback port, start that command, and end it (by its process
id) at the end; so nothing else that listens on this machine is tested by mistake.  What the
command prints goes to peer.log.  With --through, a proxy is started and ended in the same way, which
listens on {front} and speaks to {behind}: the suite on one side of it, the peer on the other.  With --url the peer is somebody else's: as a fuzzingserver the
suite listens there until SIGTERM.

A client asks for /getCaseCount, then /runCase?case=N&agent=NAME for each N from 1, then
/updateReports?agent=NAME, and echoes every message.

CASE is a pattern such as '*', '9.*', '12.1.*', '6.4.1'; --exclude takes the same.

Written to DIR: index.json, index.html and a report for each case; run.json with the cases that
were asked for, so that summarise.py can name the missing ones; run.log, peer.log.

Exit status: 0 ran to the end, 1 could not run, 2 the fuzzer itself raised, 3 the command of
--serve or --client failed, 4 the time was up.
"""
import argparse
import atexit
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

RAISED, PEER_FAILED, TIME_UP = 2, 3, 4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["fuzzingclient", "fuzzingserver"])
    parser.add_argument("--url")
    parser.add_argument("--serve", metavar="CMD", help="fuzzingclient: start this echo server, {port} is replaced")
    parser.add_argument("--client", metavar="CMD", help="fuzzingserver: run this client, {url} is replaced")
    parser.add_argument("--through", metavar="CMD",
                        help="with --serve or --client: start this proxy, {front} and {behind} are replaced")
    parser.add_argument("--outdir", required=True)
    parser.add_argument("--agent", help="fuzzingclient: name for the reports; default: the Server header")
    parser.add_argument("--exclude", action="append", default=[], metavar="CASE")
    parser.add_argument("--max-len", type=int, metavar="N",
                        help="leave out the cases of 12.* and 13.* with messages longer than N bytes (quick: 8192)")
    parser.add_argument("--wait", type=float, default=10, help="seconds to wait for the server's port (10)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS",
                        help="stop the whole run after so many seconds; what is there is reported")
    parser.add_argument("--no-html", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="the suite's own lines instead of run.log")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    a = parser.parse_intermixed_args()
    a.spawn = a.serve if a.mode == "fuzzingclient" else a.client
    if bool(a.url) == bool(a.spawn):
        parser.error("need either --url or %s" % ("--serve" if a.mode == "fuzzingclient" else "--client"))
    if a.through and not a.spawn:
        parser.error("--through is for who is started here")
    return a


class Peer:
    """The command of --serve, --client or --through: only ever the process started here is ended."""

    def __init__(self, command, outdir, log="peer.log"):
        self.command = command
        self.log = os.path.join(outdir, log)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        atexit.register(self.end)

    def status(self):
        """None while it runs"""
        return self.process.poll()

    def end(self):
        if self.status() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def failure(self, when):
        with open(self.log, errors="replace") as log:
            said = "".join(log.readlines()[-20:]).rstrip()
        return "wstest3: `%s` ended %s with status %s%s" % (
            shlex.join(self.command), when, self.status(), ":\n" + said if said else "")

    def cpu_seconds(self):
        """of the process, without its children; 0 where that is not known"""
        try:
            with open("/proc/%d/stat" % self.process.pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return 0.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(url, seconds, peer):
    at = urlsplit(url)
    end = time.monotonic() + seconds
    while True:
        if peer and peer.status() is not None:
            sys.exit(peer.failure("before it listened"))
        try:
            socket.create_connection((at.hostname, at.port or (443 if at.scheme == "wss" else 80)), 1).close()
            return
        except OSError as e:
            if time.monotonic() > end:
                sys.exit("wstest3: cannot connect to %s: %s" % (url, e))
            time.sleep(0.05)


def case_id(case_class):
    return ".".join(case_class.__name__[4:].split("_"))


def main():
    a = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))      # until the reactor has its own handler
    started = time.monotonic()

    import autobahntestsuite.fuzzing as fuzzing
    from twisted.internet import reactor
    from twisted.internet.error import ReactorNotRunning
    from twisted.python import log

    # What is left of an earlier run must not be judged
    os.makedirs(a.outdir, exist_ok=True)
    for name in os.listdir(a.outdir):
        if name.endswith((".json", ".html", ".log")):
            os.remove(os.path.join(a.outdir, name))

    # Which cases
    if a.max_len is not None:
        a.exclude += [case_id(c) for c in fuzzing.Cases if hasattr(c, "TESTDATA") and c.LEN > a.max_len]
    spec = {"outdir": a.outdir, "cases": a.cases or ["*"], "exclude-cases": a.exclude, "exclude-agent-cases": {}}
    case_set = fuzzing.CaseSet(fuzzing.CaseSetname, fuzzing.CaseBasename, fuzzing.Cases,
                               fuzzing.CaseCategories, fuzzing.CaseSubCategories)
    ids = case_set.parseSpecCases(spec)
    unknown = set(ids) - {case_id(c) for c in fuzzing.Cases}
    if unknown or not ids:
        sys.exit("wstest3: no such case: %s" % (" ".join(sorted(unknown)) or " ".join(spec["cases"])))

    # The suite prints; its factories are kept, to write what is there when the run is stopped early
    stdout = sys.stdout
    if not a.verbose:
        sys.stdout = open(os.path.join(a.outdir, "run.log"), "w", buffering=1)
    factories, reported, internal_errors, cpu = [], [], [], {}
    peer = None
    last = [time.process_time(), 0.0]

    def observe(event):
        failure = event.get("failure")
        if event.get("isError") and not (failure and failure.check(ReactorNotRunning)):   # stopped early
            internal_errors.append(log.textFromEventDict(event))

    log.addObserver(observe)
    original_init = fuzzing.FuzzingFactory.__init__
    original_log_case = fuzzing.FuzzingFactory.logCase
    original_reports = fuzzing.FuzzingFactory.createReports

    def init(self, outdir):
        factories.append(self)
        original_init(self, outdir)

    def log_case(self, result):
        now = [time.process_time(), peer.cpu_seconds() if peer else 0.0]
        cpu[result["id"]] = [round(n - l, 3) for n, l in zip(now, last)]
        last[:] = now
        original_log_case(self, result)

    def create_reports(self, produceHtml=True, produceJson=True):
        reported.append(len(self.cases))
        original_reports(self, produceHtml=produceHtml and not a.no_html, produceJson=produceJson)

    fuzzing.FuzzingFactory.__init__ = init
    fuzzing.FuzzingFactory.logCase = log_case
    fuzzing.FuzzingFactory.createReports = create_reports

    def save_run():
        with open(os.path.join(a.outdir, "run.json"), "w") as f:
            json.dump({"mode": a.mode, "url": a.url, "cases": ids, "seconds": round(time.monotonic() - started, 1),
                       "internal_errors": internal_errors, "cpu": cpu}, f)

    command = proxy = None
    if a.spawn:
        front = behind = free_port()
        if a.through:
            behind = free_port()
            proxy = [w.replace("{front}", str(front)).replace("{behind}", str(behind)) for w in shlex.split(a.through)]
        # The server is behind the proxy, be it the peer or the suite.
        front_url, behind_url = ("ws://127.0.0.1:%d" % port for port in (front, behind))
        a.url = front_url if a.mode == "fuzzingclient" else behind_url
        command = [w.replace("{port}", str(behind)).replace("{url}", front_url) for w in shlex.split(a.spawn)]
    status = 0
    problem = None
    save_run()

    def time_is_up():
        nonlocal status, problem
        status, problem = TIME_UP, "wstest3: stopped after %g s" % a.timeout
        reactor.stop()

    if a.timeout:
        reactor.callLater(a.timeout, time_is_up)
    if proxy:
        proxy = Peer(proxy, a.outdir, "proxy.log")
        wait_for_port(front_url, a.wait, proxy)
    if a.mode == "fuzzingclient":
        if command:
            peer = Peer(command, a.outdir)
            wait_for_port(behind_url, a.wait, peer)
        wait_for_port(a.url, a.wait, peer)
        server = {"url": a.url}
        if a.agent:
            server["agent"] = a.agent
        spec["servers"] = [server]
        fuzzing.startClient(spec)
    else:
        spec["url"] = a.url
        spec["interface"] = urlsplit(a.url).hostname             # not all interfaces
        fuzzing.startServer(spec, 0)                             # raises if the port is taken
        print("fuzzingserver on %s, %d cases" % (a.url, len(ids)), file=stdout, flush=True)
        if command:
            peer = Peer(command, a.outdir)

            def until_client_ends():
                if peer.status() is None:
                    reactor.callLater(0.2, until_client_ends)
                elif reactor.running:
                    reactor.stop()

            reactor.callLater(0.2, until_client_ends)
    reactor.run()

    save_run()
    for f in factories:
        if f.cases and (not reported or reported[-1] != len(f.cases)):
            f.createReports()
    if peer and not problem:
        ended = peer.status()
        if ended if a.mode == "fuzzingserver" else ended is not None:
            status, problem = PEER_FAILED, peer.failure("during the run")
    if proxy and not problem and proxy.status() is not None:
        status, problem = PEER_FAILED, proxy.failure("during the run")
    if problem:
        print(problem, file=sys.stderr)
    print("%s: %d cases in %.1f s, reports in %s" % (a.mode, len(ids), time.monotonic() - started, a.outdir),
          file=stdout, flush=True)
    return status or (RAISED if internal_errors else 0)


if __name__ == "__main__":
    sys.exit(main())
