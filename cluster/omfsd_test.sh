#!/bin/bash
# omfsd by itself: how it starts, serves, refuses to start and ends; and mosctl, mosps, migrate, mosrun against it.
# Argument: the directory of the programs. Everything is on loopback. Status 77: this machine cannot run it.
set -u
bin=$1
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
work=$(mktemp -d /var/tmp/omfsd-test-XXXXXX)
daemons=()
failures=0
cleanup() {
  for p in "${daemons[@]}"; do kill -KILL "$p" 2>/dev/null; done
  wait 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
same() { [ "$2" = "$3" ] || fail "$1: want \"$2\", got \"$3\""; }

# Ports below the range the kernel gives to others, by this process's number: tests may run side by side.
port=$((10000 + $$ % 10000))
conf() { echo "$work/$1/omfs.conf"; }
make_node() {  # NUMBER: directories and configuration
  mkdir -p "$work/$1"/{export,state,run}
  cat >"$(conf "$1")" <<C
node = $1
listen = 127.0.0.1
data_port = $((port + 2 * $1))
control_port = $((port + 2 * $1 + 1))
export = $work/$1/export
nodes = $work/nodes
pki = $work/$1/pki
state = $work/$1/state
run = $work/$1/run
C
}
for n in 1 2; do
  make_node $n
  echo "$n n$n 127.0.0.1 $((port + 2 * n)) $((port + 2 * n + 1))" >>"$work/nodes"
done

start() {  # NUMBER: starts omfsd and waits until it serves
  "$bin/omfsd" --config "$(conf "$1")" 2>>"$work/$1/log" &
  daemons+=($!)
  last=$!
  for _ in $(seq 300); do
    "$bin/mosctl" status --config "$(conf "$1")" >/dev/null 2>&1 && return
    kill -0 $last 2>/dev/null || break
    sleep 0.1
  done
  fail "omfsd $1 does not serve: $(tail -3 "$work/$1/log")"
}
# refused WHAT PATTERN ARGUMENT...: omfsd must end with one line that matches
refused() {
  local what=$1 pattern=$2; shift 2
  timeout 30 "$bin/omfsd" "$@" >"$work/out" 2>"$work/err"
  local status=$?
  [ $status != 0 ] && [ $status != 124 ] || fail "$what: status $status"
  same "$what: lines" 1 "$(wc -l <"$work/err")"
  grep -q "^omfsd: .*$pattern" "$work/err" || fail "$what: says $(cat "$work/err")"
}

echo "== errors before there is a cluster"
refused "no configuration" "/nowhere.*No such file" --config "$work/nowhere"
refused "an unknown flag" "frob" --frob
refused "a flag's bad value" "data-port.*99999" --config "$(conf 1)" --data-port 99999
refused "no certificates" "pki/ca.crt.*No such file" --config "$(conf 1)"
echo "node = 1 2" >"$work/bad.conf"
refused "a bad line" "bad.conf:1" --config "$work/bad.conf"
refused "a missing node map" "nomap.*No such file" --config "$(conf 1)" --nodes "$work/nomap"

echo "== init, token, join"
"$bin/mosctl" init --node 1 --config "$(conf 1)" >/dev/null || fail init
"$bin/mosctl" init --node 1 --config "$(conf 1)" 2>/dev/null && fail "init twice"
start 1
one=$last
token=$("$bin/mosctl" token --config "$(conf 1)" --ttl 10m) || fail token
"$bin/mosctl" join "${token}9" --node 2 --config "$(conf 2)" 2>/dev/null && fail "join at a wrong port"
# Another first character than it has: one in 64 tokens begins with any given one.
[ "${token:6:1}" = A ] && forged=omfs1.B${token:7} || forged=omfs1.A${token:7}
"$bin/mosctl" join "$forged" --node 2 --config "$(conf 2)" 2>"$work/err" && fail "join with a forged token"
same "its error" 1 "$(wc -l <"$work/err")"
"$bin/mosctl" join "$token" --node 2 --config "$(conf 2)" >/dev/null || fail join
make_node 3
sed 's/node = 3/node = 2/' "$(conf 3)" >"$work/3/as2.conf"
"$bin/mosctl" join "$token" --node 2 --config "$work/3/as2.conf" 2>/dev/null && fail "a second certificate for node 2"
same "mode of the key" 600 "$(stat -c %a "$work/2/pki/node.key")"

echo "== errors of a node with certificates"
refused "busy data port" "$((port + 2)).*in use" --config "$(conf 2)" --data-port $((port + 2))
refused "busy control port" "$((port + 3)).*in use" --config "$(conf 2)" --control-port $((port + 3))
refused "busy socket" "already in use" --config "$(conf 2)" --run "$work/1/run"
refused "store in use" "in use by another" --config "$(conf 2)" --state "$work/1/state"
refused "no state directory" "null" --config "$(conf 2)" --state /dev/null/state
refused "no export" "noexport" --config "$(conf 2)" --export "$work/noexport"
refused "another's certificates" "certificate of node 1" --config "$(conf 2)" --pki "$work/1/pki"
[ -e "$work/2/run/omfsd.sock" ] && fail "a refused start leaves its socket"

echo "== two nodes"
start 2
two=$last
ok=no
for _ in $(seq 100); do
  "$bin/mosctl" nodes --config "$(conf 1)" --json | tr -d '\n ' | grep -q '"node":2,"self":false,"up":true' && { ok=yes; break; }
  sleep 0.1
done
same "node 1 sees node 2" yes $ok

echo "== strangers"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=node-2.omfs \
  -addext subjectAltName=DNS:node-2.omfs -keyout "$work/s.key" -out "$work/s.crt" 2>/dev/null
for p in $((port + 2)) $((port + 3)); do
  lines=$(grep -c refused "$work/1/log")
  openssl s_client -connect 127.0.0.1:$p -cert "$work/s.crt" -key "$work/s.key" -alpn h2 </dev/null >/dev/null 2>&1
  head -c 3000 /dev/urandom >"/dev/tcp/127.0.0.1/$p"
  printf 'GET / HTTP/1.0\r\n\r\n' >"/dev/tcp/127.0.0.1/$p"
done
head -c 3000 /dev/urandom | timeout 5 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.stdin.buffer.read()); s.close()' "$work/1/run/omfsd.sock"
"$bin/mosctl" status --config "$(conf 1)" >/dev/null || fail "node 1 after strangers"

echo "== tools"
same "mosps" "[]" "$("$bin/mosps" --config "$(conf 1)" --json)"
same "showmap" 3 "$("$bin/showmap" --config "$(conf 1)" | wc -l)"
"$bin/mosctl" why $$ --config "$(conf 1)" | grep -q "at home" || fail "why of a process at home"
"$bin/mosctl" why 999999999 --config "$(conf 1)" 2>/dev/null && fail "why of no process"
for wrong in "migrate x 1" "migrate 1 nowhere" "migrate 999999999 2" "migrate $$" "migrate $$ balance" "mosctl" "mosctl frob" \
  "mosctl stay" "mosctl limit 3" "mosps --frob" "mosctl why x"; do
  set -- $wrong
  tool=$1; shift
  config=(--config "$(conf 1)"); case $wrong in mosctl|mosctl\ [fsl]*) config=();; esac
  "$bin/$tool" "$@" "${config[@]}" >/dev/null 2>"$work/err" && fail "accepted: $wrong"
  same "lines of error for \"$wrong\"" 1 "$(wc -l <"$work/err")"
done
same "mosrun" hello "$("$bin/mosrun" echo hello)"
"$bin/mosrun" -- sh -c 'exit 9'; same "mosrun's status" 9 $?
"$bin/mosrun" /no/such 2>/dev/null; same "mosrun, missing" 127 $?
"$bin/mosrun" /etc/passwd 2>/dev/null; same "mosrun, no program" 126 $?
"$bin/mosrun" --config "$(conf 1)" -n 7 true 2>"$work/err"; same "mosrun, no node" 125 $?
same "its error" 1 "$(wc -l <"$work/err")"
su -s /bin/bash nobody -c "$(printf '%q ' "$bin/migrate" $$ 2 --config "$(conf 1)")" 2>"$work/err" && fail "migrate of another's process"
grep -q -e "not yours" -e "denied" "$work/err" || fail "it says $(cat "$work/err")"

echo "== the end"
kill -TERM $two; wait $two; same "SIGTERM" 0 $?
[ -e "$work/2/run/omfsd.sock" ] && fail "its socket is left"
"$bin/mosrun" --config "$(conf 1)" -n 2 true 2>"$work/err"; same "mosrun, node down" 125 $?
same "its error" 1 "$(wc -l <"$work/err")"
kill -INT $one; wait $one; same "SIGINT" 0 $?
grep -q "stopped" "$work/1/log" || fail "no line about the end"

[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
