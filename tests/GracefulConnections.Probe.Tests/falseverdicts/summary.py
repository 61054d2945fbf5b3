"""Counts the verdicts in the reports of a folder, by part and scenario. A correct server that failed is a false verdict."""

import collections
import glob
import json
import os
import statistics
import sys

PYTHON = "`Servers/line_server.py`, restarted and stopped"
SECURE = "`GracefulConnections.ProbeServers graceful` with TLS, stopped"
NETWORKS = {
    "delay": "50 ms of round trip",
    "loss": "5 % loss",
    "rate": "10 Mbit/s",
    "all": "50 ms of round trip, 5 % loss, 10 Mbit/s",
}
PARTS = {"busy": f"Loopback, both cores busy: {PYTHON}", "busy-tls": f"Loopback, both cores busy: {SECURE}"}
for name, network in NETWORKS.items():
    PARTS[name] = f"{network}: {PYTHON}"
    PARTS[f"{name}-tls"] = f"{network}: {SECURE}"
VERDICTS = ("pass", "fail", "skipped", "error")


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main():
    work = sys.argv[1]
    if not glob.glob(os.path.join(glob.escape(work), "*.err")):
        return 1
    false = 0
    print("# False verdicts\n\nMade by `run.sh` beside this file: correct servers, judged again and again. 50 idle connections.")
    for name, title in PARTS.items():
        runs = glob.glob(os.path.join(glob.escape(work), f"{name}-[0-9]*.err"))
        if not runs:
            continue
        counts = collections.defaultdict(collections.Counter)
        reasons = []
        missing = 0
        for path in runs:
            text = read(path[:-4] + ".json")
            if not text:
                missing += 1
                reasons.append(f"no report: {read(path).strip()[-200:]}")
                continue
            for one in json.loads(text)["scenarios"]:
                counts[one["name"]][one["verdict"]] += 1
                if one["verdict"] != "pass":
                    reasons.append(f"{one['name']}: {one['verdict']}: {one['seen']}; {one['reason']}")
        loads = [float(load) for path in runs if (load := read(path[:-4] + ".load"))]
        load = f" Load of the machine at their begin: {min(loads):.0f} to {max(loads):.0f}, median {statistics.median(loads):.0f}." if loads else ""
        print(f"\n## {title}\n\nRuns: {len(runs)}; without a report: {missing}.{load}\n")
        print("| scenario | pass | fail | skipped | error |\n| --- | --- | --- | --- | --- |")
        for scenario, verdicts in counts.items():
            print(f"| {scenario} | " + " | ".join(str(verdicts[one]) for one in VERDICTS) + " |")
            false += verdicts["fail"]
        for reason in reasons[:20]:
            print(f"\n- {reason}")
    print(f"\nFalse verdicts: {false}.")
    return 0


sys.exit(main())
