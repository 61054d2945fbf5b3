"""Prints a row of the scorecard: the title, the version and a report of graceful-probe in JSON."""

import json
import os
import sys

COLUMNS = [
    ("reply-while-uploading",),
    ("bytes-after-fin",),
    ("silent-after-fin",),
    ("half-close",),
    ("slow-reader", "closed-window"),
    ("half-request", "half-request-silence"),
    ("stop-idle", "stop-busy", "stop-asking", "stop-half-way", "stop-connecting", "stop-exit"),
]
FAULTS = ["lateRelease", "uncleanEnd", "lostBehindReset", "lostBehindEnd", "executedHalf", "died"]
GRADES = dict(zip(FAULTS, "BCDFFF"))


def cell(scenarios):
    failed = [one for one in scenarios if one["verdict"] == "fail"]
    if failed:
        worst = max(failed, key=lambda one: FAULTS.index(one["fault"]))
        lost = worst["lostBytes"]
        return f"{GRADES[worst['fault']]}: {lost:,} bytes" if lost else GRADES[worst["fault"]]
    verdicts = {one["verdict"] for one in scenarios}
    if "error" in verdicts:
        return "not sure"
    return "pass" if "pass" in verdicts else "-"


def main():
    title, version, path, errors = sys.argv[1:]
    if not os.path.exists(path):
        with open(errors, encoding="utf-8") as file:
            lines = file.read().strip().splitlines() or ["no report"]
        print(f"| {title} | {version} | not judged: {lines[-1]} | | | | | | | |")
        return
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    by_name = {one["name"]: one for one in report["scenarios"]}
    cells = [cell([by_name[name] for name in names if name in by_name]) for names in COLUMNS]
    print(f"| {title} | {version} | **{report['grade']}** | {' | '.join(cells)} |")


main()
