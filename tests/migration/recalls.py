"""Programs that do what is not done away yet: they come home, finish there correctly, and mosctl why says why."""

import os
import subprocess

import node

# Each program does its work, then says "done" and waits for a line, so that it can be asked about while it lives.
# "reason" is what mosctl why must mention (one of the words).
CASES = {
    "shell_pipeline": dict(
        command=["sh", "-c", "cd /mfs/2/recalls; echo a | cat; grep -c 7 lines | sed s/^/n=/; echo done; read x; exit 4"],
        output="a\nn=271\ndone\n", status=4, reason=("fork", "clone", "pipe")),
    "python_fork": dict(
        command=["python3", "-u", "-c", """
import os, sys
f = open("/mfs/2/recalls/lines")
f.readline()
child = os.fork()
if child == 0:
    os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(f.readline().strip())
print("done")
sys.stdin.readline()
"""],
        output="3\n2\ndone\n", status=0, reason=("fork", "clone", "pipe")),
    "python_threads": dict(
        command=["python3", "-u", "-c", """
import sys, threading
total = []
threads = [threading.Thread(target=lambda i=i: total.append(sum(map(int, open("/mfs/2/recalls/lines"))) + i))
           for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(total))
print("done")
sys.stdin.readline()
"""],
        output="[500500, 500501, 500502, 500503]\ndone\n", status=0, reason=("thread", "clone")),
    "shell_exec": dict(
        command=["sh", "-c", "cd /mfs/2/recalls; exec sh -c 'read x <lines; echo $x; echo done; read y; exit 9'"],
        output="1\ndone\n", status=9, reason=("exec",)),
    "python_subprocess": dict(
        command=["python3", "-u", "-c", """
import subprocess, sys
print(subprocess.run(["sort", "-n", "-r", "lines"], cwd="/mfs/2/recalls", capture_output=True, text=True).stdout[:9])
print(subprocess.run(["false"]).returncode)
print("done")
sys.stdin.readline()
"""],
        output="1000\n999\n\n1\ndone\n", status=0, reason=("fork", "clone", "pipe", "epoll")),
}


def test(name, box, programs):
    case = CASES[name]
    native = os.path.join(box, "node2", "export", "recalls")
    os.makedirs(native, exist_ok=True)
    with open(os.path.join(native, "lines"), "w") as file:
        file.writelines(f"{i}\n" for i in range(1, 1001))
    failures = 0
    for mode, prefix in (("unmoved", ["mosrun", "-h"]), ("away", ["mosrun", "-n", "2"])):
        process = subprocess.Popen(prefix + case["command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        output, problems = "", []
        try:
            for line in process.stdout:
                output += line
                if line == "done\n":
                    break
            if mode == "away" and process.poll() is None:
                place, reason = node.where(process.pid), node.why(process.pid)
                if place != node.HOME:
                    problems.append(f"it is on node {place}, not at home")
                if not any(word in reason for word in case["reason"]):
                    problems.append(f"mosctl why names no reason, but says: {reason!r}")
            rest, _ = process.communicate("go on\n", timeout=120)
            output += rest
        except (subprocess.TimeoutExpired, BrokenPipeError) as error:
            problems.append(f"it does not end as it should: {error}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if output != case["output"]:
            problems.append(f"output {output!r} instead of {case['output']!r}")
        if process.returncode != case["status"]:
            problems.append(f"exit status {process.returncode} instead of {case['status']}")
        print(f"{'FAILED' if problems else 'ok    '} {name}: {mode}", flush=True)
        for problem in problems:
            print(f"    {problem}", flush=True)
        failures += bool(problems)
    return failures
