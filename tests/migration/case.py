"""Runs one migration test inside node 1 of a box: case.py --box DIR --programs DIR KIND NAME."""

import argparse
import sys

import jobs
import node
import oracle
import recalls
import terminal

KINDS = {"program": oracle.test, "job": jobs.test, "recall": recalls.test, "terminal": terminal.test}


def main():
    parser = argparse.ArgumentParser(description="Runs one migration test inside node 1 of a box.")
    parser.add_argument("--box", required=True, help="directory of the box")
    parser.add_argument("--programs", required=True, help="directory of the test programs")
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("name")
    arguments = parser.parse_args()
    try:
        failures = KINDS[arguments.kind](arguments.name, arguments.box, arguments.programs)
    except node.Failure as failure:
        print(f"FAILED {arguments.kind} {arguments.name}: {failure}")
        failures = 1
    print(f"{failures} failed" if failures else "all passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
