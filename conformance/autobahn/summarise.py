#!/usr/bin/env python3
"""Judge the results of an Autobahn run; exit status 1 when there is something to look at.

  summarise.py DIR|index.json [--allow FILE] [--allow-case ID=BEHAVIOR ...]
               [--expect N] [--bad FAILED,NON-STRICT,...] [--close-bad ...] [--agent NAME]
               [--groups] [--json]

An allow list has lines `ID BEHAVIOR[|BEHAVIOR] [# why]`, ID being a case or a pattern
('6.4.*', '12.*'), BEHAVIOR as in index.json, or `close:WRONG CODE` for behaviorClose,
or ANY.  A line that none of the cases needed although one of them matches it is a problem,
too, so that the list does not rot.
MISSING: asked for in run.json (written by wstest3.py) and not in the results.
"""
import argparse
import collections
import fnmatch
import json
import os
import sys


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index")
    parser.add_argument("--agent")
    parser.add_argument("--allow", action="append", default=[], metavar="FILE")
    parser.add_argument("--allow-case", action="append", default=[], metavar="ID=BEHAVIOR")
    parser.add_argument("--bad", default="FAILED,NON-STRICT,UNIMPLEMENTED,INFORMATIONAL,MISSING",
                        help="values of behavior that count (default: %(default)s)")
    parser.add_argument("--close-bad", default="FAILED,UNCLEAN,WRONG CODE",
                        help="values of behaviorClose that count (default: %(default)s)")
    parser.add_argument("--expect", type=int, metavar="N", help="each agent must have so many cases")
    parser.add_argument("--groups", action="store_true", help="seconds for each group of cases")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


class AllowList:
    def __init__(self, files, cases):
        self.lines = []                                # (pattern, behaviours)
        for name in files:
            with open(name) as f:
                for line in f:
                    pattern, _, what = line.split("#")[0].strip().partition(" ")
                    if pattern:
                        self.lines.append((pattern, [w.strip() for w in what.split("|")]))
        for case in cases:
            pattern, _, what = case.partition("=")
            self.lines.append((pattern, what.split("|")))
        self.used = set()
        self.seen = set()

    def allows(self, case, what):
        ok = False
        for n, (pattern, whats) in enumerate(self.lines):
            if fnmatch.fnmatchcase(case, pattern):
                self.seen.add(n)
                if what in whats or "ANY" in whats:
                    self.used.add(n)
                    ok = True
        return ok

    def needless(self):
        return [self.lines[n][0] for n in sorted(self.seen - self.used)]


def numbers(case):
    return [int(x) for x in case.split(".")]


def ranges(ids):
    """1.1.1 1.1.2 1.1.3 -> 1.1.1-3"""
    out = []
    for k in sorted(map(numbers, ids)):
        if out and k[:-1] == out[-1][0][:-1] and k[-1] == out[-1][1] + 1:
            out[-1][1] = k[-1]
        else:
            out.append([k, k[-1]])
    return " ".join(".".join(map(str, k)) + ("-%d" % e if e != k[-1] else "") for k, e in out)


def judge(cases, run, allow, bad, close_bad):
    """the results of one agent -> a dictionary for --json and for show()"""
    results = {c: (v["behavior"], v["behaviorClose"]) for c, v in cases.items()}
    for c in run.get("cases", []):
        results.setdefault(c, ("MISSING", "MISSING"))
    behavior, behavior_close = collections.defaultdict(list), collections.defaultdict(list)
    problems = []
    for c, (b, cb) in results.items():
        behavior[b].append(c)
        behavior_close[cb].append(c)
        excused = allow.allows(c, b)
        close_excused = allow.allows(c, "close:" + cb)
        if b in bad and not excused:
            problems.append((c, b, cb))
        elif cb in close_bad and b not in ("UNIMPLEMENTED", "INFORMATIONAL") and not (
                close_excused or (b in bad and excused)):
            problems.append((c, b, "close: " + cb))
    seconds = collections.defaultdict(float)
    cpu = collections.defaultdict(lambda: [0.0, 0.0])
    for c, v in cases.items():
        group = c.split(".")
        group = ".".join(group[:2]) if group[0] in ("9", "12", "13") else group[0]
        if 0 <= v["duration"] < 1e8:                   # without a handshake the suite counts from 1970
            seconds[group] += v["duration"] / 1000
        for n, t in enumerate(run.get("cpu", {}).get(c, [])):
            cpu[group][n] += t
    return {"cases": len(results),
            "behavior": {k: sorted(v, key=numbers) for k, v in sorted(behavior.items())},
            "behaviorClose": {k: sorted(v, key=numbers) for k, v in sorted(behavior_close.items())},
            "problems": sorted(problems, key=lambda p: numbers(p[0])),
            "seconds": {k: round(v, 1) for k, v in sorted(seconds.items(), key=lambda x: numbers(x[0]))},
            "cpu": {k: [round(t, 1) for t in v] for k, v in cpu.items()}}


def show(agent, verdict, run, groups):
    print("%s: %d cases, %.1f s in cases%s" % (agent, verdict["cases"], sum(verdict["seconds"].values()),
                                               ", run %.1f s" % run["seconds"] if run.get("seconds") else ""))
    for title in ("behavior", "behaviorClose"):
        print("  %-14s %s" % (title, "  ".join("%s %d" % (k, len(v)) for k, v in verdict[title].items())))
    for title, prefix in (("behavior", ""), ("behaviorClose", "close ")):
        for k, v in verdict[title].items():
            if k != "OK":
                print("  %-14s %s" % (prefix + k, ranges(v)))
    if groups:
        print("  group: wall seconds (CPU seconds of the fuzzer, of the peer if started by it)")
        for g, t in verdict["seconds"].items():
            print("    %-5s %7.1f  (%.1f, %.1f)" % (g, t, *verdict["cpu"].get(g, (0, 0))))
    problems = verdict["problems"]
    print("  %d not allowed%s" % (len(problems), ": " + ranges(p[0] for p in problems) if problems else ""))


def main():
    a = arguments()
    path = os.path.join(a.index, "index.json") if os.path.isdir(a.index) else a.index
    run_path = os.path.join(os.path.dirname(path), "run.json")
    run = {}
    if os.path.exists(run_path):
        with open(run_path) as f:
            run = json.load(f)
    if not os.path.exists(path):
        print("no results: %s is not there" % path)
        return 1
    with open(path) as f:
        index = json.load(f)
    if a.agent:
        index = {k: v for k, v in index.items() if k == a.agent}
    allow = AllowList(a.allow, a.allow_case)
    wrong = not index
    if not index:
        print("no results in", path)
    if run.get("internal_errors"):
        print("the fuzzer itself raised %d times, see %s" % (len(run["internal_errors"]), run_path))
        wrong = True
    verdicts = {}
    for agent, cases in sorted(index.items()):
        verdict = verdicts[agent] = judge(cases, run, allow, set(a.bad.split(",")), set(a.close_bad.split(",")))
        wrong |= bool(verdict["problems"])
        if a.expect not in (None, verdict["cases"]):
            print("%s: %d cases, and %d must be there" % (agent, verdict["cases"], a.expect))
            wrong = True
        if not a.json:
            show(agent, verdict, run, a.groups)
    needless = allow.needless()
    wrong |= bool(needless)
    if a.json:
        print(json.dumps({"agents": verdicts, "needless": needless}, indent=1))
    elif needless:
        print("allowed, but not needed: " + " ".join(needless))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
