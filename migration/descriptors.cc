#include "migration/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include "cluster/local_client.h"
#include "dfsa/identity.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs::migration {
namespace {

struct CloseDirectory {
  void operator()(DIR* d) const { closedir(d); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

std::vector<int> NumbersIn(const std::string& path) {
  std::vector<int> numbers;
  Directory d(opendir(path.c_str()));
  if (!d) return numbers;
  while (const dirent* e = readdir(d.get())) {
    if (e->d_name[0] >= '0' && e->d_name[0] <= '9') numbers.push_back(atoi(e->d_name));
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::string LinkTarget(const std::string& path) {
  char buffer[PATH_MAX + 1];
  const ssize_t n = readlink(path.c_str(), buffer, sizeof buffer - 1);
  return n < 0 ? "" : std::string(buffer, n);
}

bool SameOpenFile(pid_t a, int fd_a, pid_t b, int fd_b) {
  return syscall(SYS_kcmp, a, b, KCMP_FILE, fd_a, fd_b) == 0;
}

// Whether another process has the same open file description.
bool SharedElsewhere(pid_t pid, const DescriptorInfo& info) {
  for (const int other : NumbersIn("/proc")) {
    if (other == pid) continue;
    const std::string dir = fmt::format("/proc/{}/fd", other);
    for (const int fd : NumbersIn(dir)) {
      if (LinkTarget(fmt::format("{}/{}", dir, fd)) == info.target &&
          SameOpenFile(pid, info.number, other, fd)) {
        return true;
      }
    }
  }
  return false;
}

void SetIdentity(const dfsa::Identity& id, uint32_t* node, std::string* handle) {
  *node = id.node.value;
  handle->assign(reinterpret_cast<const char*>(&id.handle), sizeof id.handle);
}

void FillFile(const DescriptorInfo& info, const dfsa::Identity& id, Descriptor* d) {
  d->set_kind(Descriptor::kFile);
  uint32_t node = 0;
  SetIdentity(id, &node, d->mutable_handle());
  d->set_node(node);
  d->set_flags(static_cast<uint32_t>(info.flags & ~O_CLOEXEC));
  d->set_offset(info.offset);
}

// Marks d as a duplicate when an earlier descriptor of the image shares its open file description.
bool FindDuplicate(pid_t pid, const DescriptorInfo& info, const Image& image, Descriptor* d) {
  for (const Descriptor& earlier : image.descriptors()) {
    if (earlier.number() >= info.number || earlier.kind() != Descriptor::kFile || earlier.same_as() >= 0) continue;
    if (SameOpenFile(pid, earlier.number(), pid, info.number)) {
      d->set_kind(Descriptor::kFile);
      d->set_same_as(earlier.number());
      return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<std::vector<DescriptorInfo>> ListDescriptors(pid_t pid) {
  std::vector<DescriptorInfo> all;
  const std::string dir = fmt::format("/proc/{}/fd", pid);
  if (access(dir.c_str(), X_OK) != 0) return ErrnoStatus(errno, dir);
  for (const int number : NumbersIn(dir)) {
    DescriptorInfo info;
    info.number = number;
    info.target = LinkTarget(fmt::format("{}/{}", dir, number));
    std::ifstream in(fmt::format("/proc/{}/fdinfo/{}", pid, number));
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("pos:")) info.offset = strtoull(line.c_str() + 4, nullptr, 10);
      if (line.starts_with("flags:")) info.flags = static_cast<int>(strtoul(line.c_str() + 6, nullptr, 8));
      if (line.starts_with("lock:")) info.locked = true;
    }
    all.push_back(std::move(info));
  }
  return all;
}

absl::Status DescribeHomeDescriptors(pid_t pid, bool no_dfsa, Image* image) {
  OMFS_ASSIGN_OR_RETURN(const auto descriptors, ListDescriptors(pid));
  for (const DescriptorInfo& info : descriptors) {
    Descriptor d;
    d.set_number(info.number);
    d.set_close_on_exec((info.flags & O_CLOEXEC) != 0);
    d.set_same_as(-1);
    d.set_kind(Descriptor::kHome);
    const std::string path = fmt::format("/proc/{}/fd/{}", pid, info.number);
    struct stat st {};
    const bool candidate = !no_dfsa && !info.locked && (info.flags & O_PATH) == 0 &&
                           (info.flags & O_TMPFILE) != O_TMPFILE && stat(path.c_str(), &st) == 0 &&
                           (S_ISREG(st.st_mode) || (S_ISDIR(st.st_mode) && info.offset == 0 && st.st_nlink != 0));
    if (candidate && !FindDuplicate(pid, info, *image, &d)) {
      // Locks belong to the open file at home, and to all its descriptors there.
      if (auto id = dfsa::IdentifyPath(path); id.ok() && !id->may_be_locked && !SharedElsewhere(pid, info)) {
        FillFile(info, *id, &d);
      }
    }
    *image->add_descriptors() = d;
  }
  const std::string cwd = fmt::format("/proc/{}/cwd", pid);
  // A removed directory can be reached only by those who stand in it.
  if (struct stat st {}; !no_dfsa && stat(cwd.c_str(), &st) == 0 && st.st_nlink != 0) {
    if (auto id = dfsa::IdentifyPath(cwd); id.ok()) {
      uint32_t node = 0;
      SetIdentity(*id, &node, image->mutable_cwd_handle());
      image->set_cwd_node(node);
      image->set_cwd_on_mfs(true);
    }
  }
  return absl::OkStatus();
}

absl::Status DescribeGuestDescriptors(pid_t pid, const std::set<int>& home, const Config& config, Image* image) {
  OMFS_ASSIGN_OR_RETURN(const auto descriptors, ListDescriptors(pid));
  for (const DescriptorInfo& info : descriptors) {
    Descriptor d;
    d.set_number(info.number);
    d.set_close_on_exec((info.flags & O_CLOEXEC) != 0);
    d.set_same_as(-1);
    d.set_kind(Descriptor::kHome);
    if (!home.contains(info.number) && !FindDuplicate(pid, info, *image, &d)) {
      const std::string path = fmt::format("/proc/{}/fd/{}", pid, info.number);
      if (const auto remote = dfsa::IdentifyPath(path); remote.ok()) {
        FillFile(info, *remote, &d);
      } else {
        // A native file of this node: its handle is the daemon's to give.
        local::Request request;
        request.mutable_identify()->set_pid(pid);
        request.mutable_identify()->set_fd(info.number);
        auto reply = AskDaemon(config.run_dir, request);
        dfsa::Identity own;
        if (reply.ok() && reply->handle().size() != sizeof own.handle) reply = Internal("no handle");
        if (!reply.ok()) {
          return Internal("open file {} cannot be identified: {}", Quoted(info.target), Text(reply.status()));
        }
        own.node = config.node;
        memcpy(&own.handle, reply->handle().data(), sizeof own.handle);
        FillFile(info, own, &d);
      }
    }
    *image->add_descriptors() = d;
  }
  return absl::OkStatus();
}

}  // namespace omfs::migration
