// vm_bad_owner DIR: hands the kernel client connections to owners that misbehave and mounts them on DIR. Each
// mount must fail with an error, and each parameter out of its range must be refused.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "omfs-kernel/omfs_dev.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/wire/header.h"

namespace omfs {
namespace {

int failures = 0;

void Fail(const std::string& what) {
  fmt::print("{}\n", what);
  ++failures;
}

omfs_dev_attach GoodArgument(int fd) {
  omfs_dev_attach arg{};
  arg.dev_version = OMFS_DEV_VERSION;
  arg.fd = fd;
  arg.session = 7;
  arg.node = 9;
  arg.wire_version = OMFS_VERSION;
  arg.slots = 4;
  arg.lease_ms = 300;
  arg.max_payload = OMFS_MAX_PAYLOAD;
  return arg;
}

struct Pair {
  ScopedFd ours, modules;
  Pair() {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return;
    ours.reset(fds[0]);
    modules.reset(fds[1]);
  }
};

void Refused(const std::string& what, int error, const std::function<void(omfs_dev_attach*)>& spoil) {
  Pair pair;
  ScopedFd device(open(OMFS_DEV_PATH, O_RDWR | O_CLOEXEC));
  omfs_dev_attach arg = GoodArgument(pair.modules.get());
  spoil(&arg);
  const int rc = ioctl(device.get(), OMFS_DEV_ATTACH, &arg);
  const int err = rc == 0 ? 0 : errno;
  if (err != error) Fail(fmt::format("{}: {} instead of {}", what, strerror(err), strerror(error)));
}

// Reads one request; answers it with what `answer` makes of a proper header.
using Answer = std::function<std::string(Header)>;

void MountFails(const char* dir, const std::string& what, const Answer& answer) {
  Pair pair;
  ScopedFd device(open(OMFS_DEV_PATH, O_RDWR | O_CLOEXEC));
  omfs_dev_attach arg = GoodArgument(pair.modules.get());
  if (ioctl(device.get(), OMFS_DEV_ATTACH, &arg) != 0) return Fail(what + ": not attached");
  pair.modules.reset();
  std::thread owner([&] {
    std::array<std::byte, OMFS_HDR_SIZE> packed;
    Header request;
    if (recv(pair.ours.get(), packed.data(), packed.size(), MSG_WAITALL) != OMFS_HDR_SIZE) return;
    if (!Header::Unpack(packed, &request).ok()) return Fail(what + ": the module's request is malformed");
    Header reply = request;
    reply.flags = OMFS_F_REPLY;
    reply.credits = 3;
    reply.meta_len = 0;
    const std::string bytes = answer(reply);
    if (bytes.empty()) return pair.ours.reset();
    send(pair.ours.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    // Stays connected but says no more.
    char rest[4096];
    while (recv(pair.ours.get(), rest, sizeof rest, 0) > 0) continue;
  });
  const std::string option = fmt::format("conn={}", arg.id);
  if (mount("9", dir, "omfs", 0, option.c_str()) == 0) {
    Fail(what + ": mounted");
    umount(dir);
  }
  // Nobody uses the connection any more: the module ends it and the owner sees that.
  device.reset();
  owner.join();
}

std::string Packed(const Header& header, size_t body = 0) {
  std::string bytes(OMFS_HDR_SIZE, '\0');
  header.Pack(PackedHeader(reinterpret_cast<std::byte*>(bytes.data()), OMFS_HDR_SIZE));
  return bytes + std::string(body, '\0');
}

Answer With(const std::function<void(Header*)>& spoil, size_t body = 0) {
  return [=](Header header) {
    spoil(&header);
    return Packed(header, body);
  };
}

int Run(const char* dir) {
  Refused("other device version", EPROTONOSUPPORT, [](auto* a) { a->dev_version = 2; });
  Refused("other wire version", EPROTONOSUPPORT, [](auto* a) { a->wire_version = 9; });
  Refused("no node", EINVAL, [](auto* a) { a->node = 0; });
  Refused("no session", EINVAL, [](auto* a) { a->session = 0; });
  Refused("one slot", EINVAL, [](auto* a) { a->slots = 1; });
  Refused("too many slots", EINVAL, [](auto* a) { a->slots = OMFS_MAX_SLOTS + 1; });
  Refused("no lease", EINVAL, [](auto* a) { a->lease_ms = 0; });
  Refused("tiny payload", EINVAL, [](auto* a) { a->max_payload = 16; });
  Refused("bad descriptor", EBADF, [](auto* a) { a->fd = 999; });
  const ScopedFd file(open("/", O_RDONLY | O_CLOEXEC));
  Refused("no socket", ENOTSOCK, [&](auto* a) { a->fd = file.get(); });
  const ScopedFd datagram(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  Refused("datagram socket", EPROTOTYPE, [&](auto* a) { a->fd = datagram.get(); });
  const ScopedFd unconnected(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Refused("unconnected socket", EPROTOTYPE, [&](auto* a) { a->fd = unconnected.get(); });

  const size_t attr = sizeof(omfs_attr);
  MountFails(dir, "closes", [](Header) { return std::string(); });
  MountFails(dir, "garbage", [](Header) { return std::string(200, 'x'); });
  MountFails(dir, "half a header", [](Header h) { return Packed(h).substr(0, 30); });
  MountFails(dir, "half a body", With([](Header* h) { h->meta_len = sizeof(omfs_attr); }, 20));
  MountFails(dir, "too long", With([](Header* h) { h->meta_len = 60000; }));
  MountFails(dir, "unasked payload", With([](Header* h) { h->payload_len = 1; }));
  MountFails(dir, "too short", With([](Header* h) { h->meta_len = 8; }, 8));
  MountFails(dir, "attributes of nothing", With([&](Header* h) { h->meta_len = attr; }, attr));
  MountFails(dir, "not a reply", With([](Header* h) { h->flags = 0; }));
  MountFails(dir, "other version", With([](Header* h) { h->version = 2; }));
  MountFails(dir, "other session", With([](Header* h) { ++h->session; }));
  MountFails(dir, "other sequence", With([](Header* h) { ++h->sequence; }));
  MountFails(dir, "other operation", With([](Header* h) { h->op = OMFS_OP_READ; }));
  MountFails(dir, "other slot", With([](Header* h) { h->slot = 2; }));
  MountFails(dir, "slot that is not", With([](Header* h) { h->slot = 255; }));
  MountFails(dir, "error with a body", With([](Header* h) { h->status = 5, h->meta_len = 8; }, 8));
  MountFails(dir, "error", With([](Header* h) { h->status = EACCES; }));
  MountFails(dir, "a kernel's own error", With([](Header* h) { h->status = 512; }));
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: vm_bad_owner DIR\n");
    return 2;
  }
  return omfs::Run(argv[1]);
}
