#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""Measures commands for scripts/benchmark.sh and makes its table.

measure.py run RESULTS WHAT WHO -- COMMAND...   runs it, adds a line to RESULTS
measure.py each COUNT RESULTS WHAT WHO -- COMMAND...   the same for COUNT things at once: tells one's share
measure.py note RESULTS WHAT WHO BYTES          adds the stored bytes of a backup
measure.py segments ARCHIVE COUNT               files that look like COUNT segments of WAL
measure.py damage DIRECTORY INTERVAL            writes over one page in INTERVAL of the large files
measure.py table RESULTS                        prints the medians as a markdown table
"""
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import time


def add(results, **line):
    with open(results, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def adopt_orphans():
    """What goes on in the background after COMMAND has ended is ours to wait for, and to count."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def wait_for_orphans():
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def run(results, what, who, command, count=1):
    """Time, processor time and the peak memory of the largest process, of COMMAND and all it waited for."""
    adopt_orphans()
    # Memory is time(1)'s: a process keeps the peak of the one that started it, and ours is large.
    peak = f"{results}.peak"
    started = time.monotonic()
    ended = subprocess.run(["/usr/bin/time", "-q", "-f", "%M", "-o", peak, *command], check=False,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wall = time.monotonic() - started
    if ended.returncode != 0:
        sys.stderr.write(ended.stdout.decode(errors="replace")[-4000:])
        sys.exit(f"benchmark: {what} by {who} ended with {ended.returncode}: {' '.join(command)}")
    wait_for_orphans()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(peak, encoding="utf-8") as file:
        memory = int(file.read().split()[-1]) * 1024
    add(results, what=what, who=who, wall=wall / count, cpu=(usage.ru_utime + usage.ru_stime) / count,
        memory=memory)


def damage(directory, interval):
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            size = os.path.getsize(path)
            if size < interval * 8192:
                continue
            with open(path, "r+b") as file:
                for page in range(0, size // 8192, interval):
                    file.seek(page * 8192 + 100)
                    file.write(b"damage")


def segments(archive, count):
    digest = "0" * 40
    for number in range(1, count + 1):
        directory = os.path.join(archive, f"00000001{number // 256:08X}")
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, f"00000001{number // 256:08X}{number % 256:08X}-{digest}.zst")
        with open(path, "wb") as file:
            file.write(b"x" * 100)


def medians(results):
    values = {}
    with open(results, encoding="utf-8") as file:
        for text in file:
            line = json.loads(text)
            for measure in ("wall", "cpu", "memory", "bytes"):
                if measure in line:
                    values.setdefault((line["what"], measure), {}).setdefault(line["who"], []).append(line[measure])
    return {key: {who: statistics.median(all_of) for who, all_of in row.items()} for key, row in values.items()}


def shown(measure, value):
    if measure in ("memory", "bytes"):
        return f"{value / 1048576:.1f} MiB"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def table(results):
    names = {"wall": "time", "cpu": "processor time", "memory": "peak memory", "bytes": "stored"}
    print("| what | measure | pgstrata | peer | pgstrata / peer | tar + zstd |")
    print("|---|---|--:|--:|--:|--:|")
    for (what, measure), row in medians(results).items():
        cells = [shown(measure, row[who]) if who in row else "" for who in ("pgstrata", "peer", "floor")]
        ratio = f"{row['pgstrata'] / row['peer']:.2f}" if {"pgstrata", "peer"} <= row.keys() and row["peer"] else ""
        print(f"| {what} | {names[measure]} | {cells[0]} | {cells[1]} | {ratio} | {cells[2]} |")


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and arguments[4:5] == ["--"] and len(arguments) > 5:
        run(arguments[1], arguments[2], arguments[3], arguments[5:])
    elif arguments[:1] == ["each"] and arguments[5:6] == ["--"] and len(arguments) > 6:
        run(arguments[2], arguments[3], arguments[4], arguments[6:], int(arguments[1]))
    elif arguments[:1] == ["note"] and len(arguments) == 5:
        add(arguments[1], what=arguments[2], who=arguments[3], bytes=int(arguments[4]))
    elif arguments[:1] == ["segments"] and len(arguments) == 3:
        segments(arguments[1], int(arguments[2]))
    elif arguments[:1] == ["damage"] and len(arguments) == 3:
        damage(arguments[1], int(arguments[2]))
    elif arguments[:1] == ["table"] and len(arguments) == 2:
        table(arguments[1])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    os.umask(0o077)
    main()
