"""How long `kd.fit` takes to be ready, against PyTorch alone: both in processes of their own.

    python benchmarks/import_time.py [--repeats 7]

Claim: at most 1.3 times. Each repeat starts one process for either, in turns; the processor time of
user and system counts, which a busy neighbour disturbs less than the clock, and of all repeats the
median. The last line is one JSON object.

Measured on a two-core CPU (Intel Xeon, AVX-512) with torch 2.15, November 2026, beside other work:
2.29 s against 2.22 s, 1.03 times.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys

WAYS = {"torch": "import torch", "kd.fit": "import kdhelpers as kd; kd.fit"}


def seconds(code: str) -> float:
    """Processor time of a new Python that runs the code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    measured = [{name: seconds(code) for name, code in WAYS.items()} for _ in range(repeats)]
    middle = {name: statistics.median(each[name] for each in measured) for name in WAYS}
    for name, each in middle.items():
        print(f"{name}: {each:.2f} s")
    ratio = middle["kd.fit"] / middle["torch"]
    print(json.dumps({"benchmark": "import_time", "seconds": middle, "ratios": {"kd.fit": ratio}}))


if __name__ == "__main__":
    main()
