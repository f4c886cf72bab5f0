# Sourced by tests that need a box of their own (DESIGN section 16): brings one up, always takes it down.
#
#   need_box                 exits 77 with a line where the machine cannot run one
#   box_up NODES [OPTION...] a box of this test's own, up with these options; its directory is $box_dir
#   on K COMMAND...          in node K
#   say_failure TEXT         counts; finish exits 1 when any was said
# $programs is the directory of the built programs.

test_name=${test_name:-$(basename "$(dirname "$0")")}
box_name=$test_name-$$
box_dir=
failures=0

skip() {
  echo "$test_name: skipped: $*"
  exit 77
}

need_root() {
  [ "$(id -u)" = 0 ] || skip "needs root"
}

need_box() {
  need_root
  [ -c /dev/fuse ] || skip "no /dev/fuse"
  command -v ip >/dev/null || skip "no program ip (Debian package iproute2)"
  unshare --net --mount --pid --fork true 2>/dev/null || skip "namespaces are not permitted"
  for program in omfs-box omfsd omfs-fuse mosctl; do
    [ -x "$programs/$program" ] || skip "$programs/$program is not built"
  done
}

box_down() {
  [ -n "$box_dir" ] || return 0
  # Who ends a test may send the signal twice (timeout(1) does): the second must not leave the box behind.
  trap '' INT TERM HUP
  # Twice at most: an `up` that a signal interrupted may be undoing its own work meanwhile.
  "$programs/omfs-box" down --name "$box_name" || { sleep 5; "$programs/omfs-box" down --name "$box_name"; }
  rm -rf --one-file-system "$box_dir"
  box_dir=
}

box_up() {
  box_dir=$(mktemp -d "/var/tmp/omfs-$test_name-XXXXXX")
  chmod 755 "$box_dir"
  trap box_down EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  local nodes=$1
  shift
  local cache=()
  [ -z "${OMFS_TEST_CACHE:-}" ] || cache=(--set "cache=$OMFS_TEST_CACHE")
  "$programs/omfs-box" up --name "$box_name" --nodes "$nodes" --dir "$box_dir/box" "${cache[@]}" "$@" || {
    echo "$test_name: the box does not come up"
    exit 1
  }
}

on() {
  local node=$1
  shift
  "$programs/omfs-box" exec --name "$box_name" "$node" -- "$@"
}

export_dir() { echo "$box_dir/box/node$1/export"; }

say_failure() {
  failures=$((failures + 1))
  echo "FAILED: $*"
}

# same WHAT WANTED GOT
same() {
  if [ "$2" = "$3" ]; then
    echo "ok: $1"
  else
    say_failure "$1: wanted \"$2\", got \"$3\""
  fi
}

finish() {
  if [ "$failures" -gt 0 ]; then
    echo "$test_name: $failures failed"
    exit 1
  fi
  echo "$test_name: all as it should be"
  exit 0
}
