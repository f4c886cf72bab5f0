#!/bin/bash
# omfs-box end to end: two boxes side by side, what exec passes through, what cut, kill, start and stop do, and that
# `down` leaves nothing. Argument: the directory of the programs. Status 77: this machine cannot run it.
set -u
bin=$1
box=$bin/omfs-box
a=test$$a b=test$$b
work=$(mktemp -d /var/tmp/omfs-box-test-XXXXXX)
failures=0

skip() { echo "skipped: $1"; rmdir "$work"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root"
[ -c /dev/fuse ] || skip "no /dev/fuse"
command -v ip >/dev/null || skip "no ip"
unshare --net --mount --pid --fork true 2>/dev/null || skip "no namespaces"

cleanup() {
  "$box" down --name "$a" >/dev/null 2>&1
  "$box" down --name "$b" >/dev/null 2>&1
  rm -rf "$work"
}
trap cleanup EXIT

fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
# same WHAT WANTED GOT
same() { [ "$2" = "$3" ] || fail "$1: want \"$2\", got \"$3\""; }
on() { "$box" exec --name "$a" "$@"; }

# Everything of these boxes that could be left on the machine.
traces() {
  cat /proc/[0-9]*/mountinfo 2>/dev/null | grep -c -e "$a" -e "$b" -e "$work"
  for p in /proc/[0-9]*; do
    { tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null | grep -q "omfs-box up .*\($a\|$b\)" && echo "process $p"
  done
  ls -d "/run/omfs-box/$a" "/run/omfs-box/$b" "$work"/* 2>/dev/null
  ip -o link | wc -l
  ls / | tr '\n' ' '
}
before=$(traces)
others=$(ls /run/omfs-box 2>/dev/null | wc -l)

echo "== up, two boxes"
"$box" up --name "$a" --dir "$work/a" || { echo "FAILED: up"; exit 1; }
"$box" up --name "$b" --dir "$work/b" --nodes 1 >/dev/null || fail "up of a second box"
"$box" up --name "$a" --dir "$work/c" 2>"$work/err" && fail "up of a box that is up"
same "its error" 1 "$(wc -l <"$work/err")"

echo "== exec"
for status in 0 1 77 126 255; do
  on 1 -- sh -c "exit $status"
  same "exit status" $status $?
done
on 2 sh -c 'kill -TERM $$'; same "status of a killed command" 143 $?
on 2 /no/such/program 2>/dev/null; same "status of a missing command" 127 $?
on 2 /etc/passwd 2>/dev/null; same "status of no program" 126 $?
on 9 true 2>/dev/null; same "status without the node" 125 $?
same "standard input" "in put" "$(echo 'in put' | on 1 cat)"
same "standard error" "err" "$(on 1 sh -c 'echo err >&2' 2>&1 >/dev/null)"
same "arguments" "a b|-n|--|" "$(on 1 printf '%s|' 'a b' -n --)"
same "--name before the verb" x "$("$box" --name "$a" exec 1 echo x)"
same "working directory" / "$(on 1 pwd)"
same "user" "65534 65534" "$(on --user nobody 1 -- sh -c 'echo $(id -u) $(id -G)')"
same "tools on PATH" yes "$(on 1 sh -c 'command -v mosrun omfsd >/dev/null && echo yes')"
same "own processes" yes "$(on 1 sh -c '[ "$(cat /proc/1/comm)" = omfs-box-node ] && echo yes')"
same "large output" 8000000 "$(on 1 head -c 8000000 /dev/zero | wc -c)"
on 1 sleep 60 & sleeper=$!
sleep 0.5; kill -TERM $sleeper; wait $sleeper; same "a signal is passed on" 143 $?

echo "== a terminal's job control"
cat >"$work/terminal.py" <<'P'
import os, pty, select, signal, sys, time
# A shell on a terminal of its own runs exec as a foreground job; keys are typed at it.
pid, fd = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "--norc", "-i"])
seen = b""
def until(text, limit=30):
    global seen
    end = time.time() + limit
    while text not in seen and time.time() < end:
        if select.select([fd], [], [], 0.2)[0]:
            seen += os.read(fd, 4096)
    ok = text in seen
    seen = b"" if ok else seen
    return ok
def typed(text): os.write(fd, text.encode())
cmd = " ".join(sys.argv[1:])
typed("PS1=; stty -echo; echo rea''dy\n"); assert until(b"ready"), seen
typed(cmd + " sh -c 'echo be''gun; sleep 100'; echo st''atus=$?\n"); assert until(b"begun"), seen
time.sleep(0.3); typed("\x03"); assert until(b"status=130"), (b"ctrl-c", seen)
typed(cmd + " sh -c 'echo be''gun; sleep 3; echo fin''ished'\n"); assert until(b"begun"), seen
time.sleep(0.3); typed("\x1a"); assert until(b"Stopped"), (b"ctrl-z", seen)
typed("fg\n"); assert until(b"finished"), (b"fg", seen)
typed("exit\n")
P
if command -v python3 >/dev/null; then
  python3 "$work/terminal.py" "$box" exec --name "$a" 1 || fail "job control"
fi

echo "== /mfs"
on 1 sh -c 'echo hello >/mfs/1/file' || fail "writing on node 1"
for node in 1 2 3; do same "node $node reads it" hello "$(on $node cat /mfs/1/file)"; done
same "it lies in node 1's export" hello "$(cat "$work/a/node1/export/file")"
same "an ordinary user's file" nobody \
  "$(on --user nobody 2 sh -c 'echo x >/mfs/3/own && stat -c %U /mfs/3/own')"

echo "== cut and heal"
"$box" cut --name "$a" 2 || fail cut
same "link" cut "$("$box" status --name "$a" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["nodes"][1]["link"])')"
on 1 bash -c 'exec 3<>/dev/tcp/10.77.0.3/4661' || fail "the others still reach each other"
timeout 2 "$box" exec --name "$a" 1 bash -c 'exec 3<>/dev/tcp/10.77.0.2/4661' 2>/dev/null && fail "a cut node is reached"
"$box" heal --name "$a" 2 || fail heal
ok=no
for _ in $(seq 100); do
  [ "$(timeout 20 "$box" exec --name "$a" 2 cat /mfs/1/file 2>/dev/null)" = hello ] && { ok=yes; break; }
  sleep 0.2
done
same "after heal" yes $ok

echo "== kill and start, stop and cont"
"$box" kill --name "$a" 3 || fail kill
on 3 mosctl status >/dev/null 2>&1 && fail "a killed omfsd answers"
"$box" start --name "$a" 3 || fail start
on 3 mosctl status >/dev/null || fail "a started omfsd does not answer"
"$box" start --name "$a" 3 2>/dev/null && fail "start of what runs"
ok=no
for _ in $(seq 100); do
  [ "$(timeout 20 "$box" exec --name "$a" 1 sh -c 'echo again >/mfs/3/again && cat /mfs/3/again' 2>/dev/null)" = again ] &&
    { ok=yes; break; }
  sleep 0.2
done
same "/mfs/3 after kill and start" yes $ok
"$box" stop --name "$a" 3 || fail stop
same "stopped" stopped "$("$box" status --name "$a" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["nodes"][2]["omfsd"])')"
"$box" cont --name "$a" 3 || fail cont
on 3 mosctl status >/dev/null || fail "omfsd after cont"

echo "== wrong arguments: one line and a failure"
for wrong in "frob" "up --nodes 0 --name x$$" "up --nodes many" "up --fs kernel --name x$$" "kill" "kill x --name $a" \
  "kill 17 --name $a" "exec" "exec 1" "exec --frob 1 true" "up --name a/b" "status --name none$$"; do
  "$box" $wrong >"$work/out" 2>"$work/err" && fail "accepted: $wrong"
  same "lines of error for \"$wrong\"" 1 "$(wc -l <"$work/err")"
done

echo "== an up that cannot succeed leaves nothing"
mkdir "$work/taken" "$work/taken/node2"
"$box" up --name "x$$" --dir "$work/taken" 2>/dev/null && fail "up over another's directory"
same "what it left" node2 "$(ls "$work/taken")"
rmdir "$work/taken/node2" "$work/taken"

echo "== an up that is killed leaves nothing after down"
"$box" up --name "x$$" --dir "$work/x" >/dev/null 2>&1 & up=$!
sleep 0.7; kill -KILL $up; wait $up 2>/dev/null
"$box" down --name "x$$" >/dev/null || fail "down after a killed up"
[ -e "$work/x" ] && fail "its files are left"

echo "== down, with a process still running and odd files"
on 1 sh -c 'cd /mfs/2 && sleep 1000' & sleeper=$!
mkdir -p "$work/a/node1/export/d/e"; : >"$work/a/node1/export/d/e/f"
chattr +i "$work/a/node1/export/d/e/f" 2>/dev/null
chattr +a "$work/a/node1/export/d" 2>/dev/null
sleep 0.5
"$box" down --name "$a" || fail down
wait $sleeper; same "the command of a box that ended" 137 $?
"$box" exec --name "$b" 1 -- sh -c 'echo y >/mfs/1/f && cat /mfs/1/f' >/dev/null || fail "the other box lives on"
"$box" down --name "$b" || fail "down of the other box"
"$box" down --name "$a" >/dev/null || fail "down twice"
rm -f "$work/err" "$work/out" "$work/terminal.py"
# Other boxes of this machine may have come or gone meanwhile, and with them the shared mount points.
if [ "$others" = "$(ls /run/omfs-box 2>/dev/null | wc -l)" ]; then
  same "what is left" "$before" "$(traces)"
fi

[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
