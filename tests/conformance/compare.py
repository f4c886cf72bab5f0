#!/usr/bin/env python3
"""compare.py IDENTITY NATIVE SEEN DIFFERENCES: do two outputs of omfs-conformance say the same?

DIFFERENCES names observations that the second file system cannot share, one line each, "PATTERN  reason", PATTERN as
of fnmatch over "group.case.point". They are left out on both sides and counted. Exits 1 on any other difference.
"""
import fnmatch
import sys

SHOWN = 200


def read(path):
    """The observations in order: a list of (key, value); equal keys are numbered."""
    seen = {}
    result = []
    with open(path, encoding="utf-8", errors="backslashreplace") as lines:
        for line in lines:
            key, _, value = line.rstrip("\n").partition(": ")
            seen[key] = seen.get(key, 0) + 1
            result.append((key, seen[key], value))
    return result


def read_differences(path):
    patterns = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.strip()
            if line and not line.startswith("#"):
                patterns.append(line.split(None, 1)[0])
    return patterns


def main():
    identity, native_path, seen_path, differences_path = sys.argv[1:]
    native, seen = read(native_path), read(seen_path)
    patterns = read_differences(differences_path)
    left_out = 0
    used = set()

    def wanted(key):
        found = [p for p in patterns if fnmatch.fnmatchcase(key, p)]
        used.update(found)
        return not found

    wrong = []
    for key, _, value in native:
        if value == "HANGS" or key.endswith(".setup"):
            wrong.append(f"{key}: the native run itself says {value}")
    there = {(key, n): value for key, n, value in seen}
    for key, n, value in native:
        got = there.pop((key, n), "(said nothing)")
        if got == value:
            continue
        if wanted(key):
            wrong.append(f"{key}\n    native: {value}\n    seen:   {got}")
        else:
            left_out += 1
    for (key, _), value in there.items():
        if wanted(key):
            wrong.append(f"{key}\n    native: (said nothing)\n    seen:   {value}")
        else:
            left_out += 1
    if not native:
        wrong.append("the native run said nothing")
    for text in wrong[:SHOWN]:
        print(f"DIFFERENT as {identity}: {text}")
    if len(wrong) > SHOWN:
        print(f"... and {len(wrong) - SHOWN} more")
    cases = {".".join(key.split(".")[:2]) for key, _, _ in native}
    print(f"as {identity}: {len(cases)} cases, {len(native)} observations, {len(wrong)} different, "
          f"{left_out} known to differ")
    if left_out and identity == "root":  # who runs all cases
        for pattern in patterns:
            if pattern not in used:
                print(f"as root: {pattern} does not differ (any more)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
