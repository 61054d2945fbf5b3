"""Counts the verdicts in the reports of a folder, by network and scenario. Fails when a correct server failed."""

import collections
import glob
import json
import os
import sys

TITLES = {
    "busy": "Loopback, both cores busy",
    "network": "50 ms round trip, 5 % loss, 10 Mbit/s",
}


def main():
    work, names = sys.argv[1], sys.argv[2:]
    false = 0
    print("# False verdicts\n\nMade by `run.sh` beside this file: the correct server `Servers/line_server.py`, judged again and again.")
    for name in names:
        counts = collections.defaultdict(collections.Counter)
        reasons = []
        paths = glob.glob(os.path.join(work, f"{name}-*.json"))
        for path in paths:
            with open(path, encoding="utf-8") as file:
                report = json.load(file)
            for one in report["scenarios"]:
                counts[one["name"]][one["verdict"]] += 1
                if one["verdict"] != "pass":
                    reasons.append(f"{one['name']}: {one['verdict']}: {one['seen']}; {one['reason']}")
        missing = 0
        for path in glob.glob(os.path.join(work, f"{name}-*.err")):
            if not os.path.exists(path[:-4] + ".json"):
                missing += 1
                with open(path, encoding="utf-8") as file:
                    reasons.append(f"no report: {file.read().strip()[-200:]}")
        print(f"\n## {TITLES[name]}\n\n{len(paths)} runs, {missing} without a report.\n")
        print("| scenario | pass | fail | skipped | error |\n| --- | --- | --- | --- | --- |")
        for scenario, verdicts in counts.items():
            print(f"| {scenario} | " + " | ".join(str(verdicts[one]) for one in ("pass", "fail", "skipped", "error")) + " |")
            false += verdicts["fail"]
        for reason in reasons[:20]:
            print(f"\n- {reason}")
    return 1 if false else 0


sys.exit(main())
