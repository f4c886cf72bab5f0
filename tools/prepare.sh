# What ./quickstart and ./check have in common: looking at the machine and building. Sourced by them from the
# root of the tree; they need nothing but a Debian base system until install-deps has run.
# shellcheck shell=bash
program=${0##*/}

say() { printf '\n== %s\n' "$*"; }

# complain LINE: notes something that the machine lacks; give_up_on_complaints ends the script if there was any.
complaints=0
complain() {
  echo "$program: $*" >&2
  complaints=$((complaints + 1))
}
give_up_on_complaints() { [ "$complaints" = 0 ] || exit 1; }

need_debian() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    complain "this is not Debian (no apt-get); the packages it needs are listed in tools/install-deps"
    return
  fi
  local ID='' VERSION_ID=''
  # shellcheck disable=SC1091
  [ ! -r /etc/os-release ] || . /etc/os-release
  if [ "$ID" = debian ] && [ -n "$VERSION_ID" ] && [ "${VERSION_ID%%.*}" -lt 12 ]; then
    complain "Debian $VERSION_ID is too old: Debian 12 or later is needed"
  fi
  [ "$(uname -m)" = x86_64 ] || complain "this machine is $(uname -m); oMFS is for x86_64 only"
}

need_root() {
  [ "$(id -u)" = 0 ] || complain "must be run as root (it makes network namespaces and mounts): try sudo ./$program"
}

# Opening it is the only test that also notices a container that may not use it.
need_fuse() {
  if [ ! -c /dev/fuse ]; then
    modprobe fuse 2>/dev/null || true
  fi
  if [ ! -c /dev/fuse ]; then
    complain "there is no /dev/fuse: load the fuse module, or give the container the device"
  elif ! (: <>/dev/fuse) 2>/dev/null; then
    complain "/dev/fuse cannot be opened: this container or user is not allowed to use it"
  fi
}

# need_disk GIB DIR
need_disk() {
  local free
  free=$(df --output=avail -k "$2" | tail -n 1)
  [ "$free" -ge $(($1 * 1024 * 1024)) ] ||
    complain "not enough disk space in $2: $1 GiB needed, $((free / 1024)) MiB free"
}

# Compilers of the heavier files take more than a gigabyte each.
jobs() {
  local processors memory
  processors=$(nproc)
  memory=$(awk '/^MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo)
  [ "$memory" -ge 1 ] || memory=1
  echo $((processors < memory ? processors : memory))
}

# build PRESET [ARGUMENTS OF cmake --build...]
build() {
  local preset=$1
  shift
  cmake --preset "$preset" -Wno-dev >/dev/null
  cmake --build --preset "$preset" --parallel "$(jobs)" "$@"
}
