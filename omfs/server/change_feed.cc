#include "omfs/server/change_feed.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

#include <cstring>
#include <vector>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/identity.h"

namespace omfs {
namespace {

constexpr size_t kBufferBytes = 64 << 10;

constexpr uint64_t kSelfEvents = FAN_ATTRIB | FAN_DELETE_SELF | FAN_MOVE_SELF;
// FAN_CLOSE_WRITE: stores to a shared mapping are reported by nothing else, and only then.
constexpr uint64_t kFileEvents = kSelfEvents | FAN_MODIFY | FAN_CLOSE_WRITE;
constexpr uint64_t kDirectoryEvents =
    kSelfEvents | FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_ONDIR;

uint64_t EventsOf(uint32_t type) { return type == S_IFDIR ? kDirectoryEvents : kFileEvents; }

// Takes an event's records apart: the object's handle, the directory's handle and the name. A
// change of a directory itself comes with its own handle and the name ".".
void ReadRecords(const Export& e, const fanotify_event_metadata& event,
                 ChangeFeed::Change* change) {
  const char* at = reinterpret_cast<const char*>(&event) + event.metadata_len;
  const char* const end = reinterpret_cast<const char*>(&event) + event.event_len;
  while (at < end) {
    const auto* record = reinterpret_cast<const fanotify_event_info_fid*>(at);
    const auto* handle = reinterpret_cast<const file_handle*>(record->handle);
    at += record->hdr.len;
    const auto fh = e.HandleOf(*handle);
    if (!fh.ok()) continue;
    if (record->hdr.info_type == FAN_EVENT_INFO_TYPE_FID) {
      change->object = *fh;
    } else if (record->hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME) {
      const std::string_view name(
          reinterpret_cast<const char*>(handle->f_handle + handle->handle_bytes));
      if (name == ".") {
        change->object = *fh;
      } else {
        change->dir = *fh;
        change->name = name;
      }
    }
  }
}

}  // namespace

ChangeFeed::ChangeFeed(const Export* e, std::chrono::milliseconds pause, Report report)
    : export_(e), pause_(pause), report_(std::move(report)), self_(getpid()) {}

absl::StatusOr<std::unique_ptr<ChangeFeed>> ChangeFeed::Start(const Export* e,
                                                              std::chrono::milliseconds pause,
                                                              Report report) {
  std::unique_ptr<ChangeFeed> feed(new ChangeFeed(e, pause, std::move(report)));
  feed->group_.reset(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK |
                                       FAN_UNLIMITED_MARKS | FAN_REPORT_DFID_NAME_TARGET,
                                   O_RDONLY | O_CLOEXEC));
  if (!feed->group_) return ErrnoStatus(errno, "fanotify_init for file handles");
  feed->stop_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!feed->stop_) return ErrnoStatus(errno, "eventfd");
  feed->buffer_ = std::make_unique<char[]>(kBufferBytes);
  feed->thread_ = std::thread([f = feed.get()] { f->Run(); });
  return feed;
}

void ChangeFeed::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

Errno ChangeFeed::Mark(int path_fd, uint32_t type) {
  const FdPath path(path_fd);
  if (fanotify_mark(group_.get(), FAN_MARK_ADD, EventsOf(type), AT_FDCWD, path.c_str()) != 0) {
    return Errno::Last();
  }
  return Errno();
}

Errno ChangeFeed::Unmark(int path_fd, uint32_t type) {
  const FdPath path(path_fd);
  if (fanotify_mark(group_.get(), FAN_MARK_REMOVE, EventsOf(type), AT_FDCWD, path.c_str()) != 0) {
    return Errno::Last();
  }
  return Errno();
}

void ChangeFeed::Run() {
  ThreadIdentity::Enter();
  for (;;) {
    pollfd fds[] = {{stop_.get(), POLLIN, 0}, {group_.get(), POLLIN, 0}};
    poll(fds, 2, -1);
    if (fds[0].revents != 0) return;
    if (fds[1].revents == 0) continue;
    if (poll(fds, 1, static_cast<int>(pause_.count())) > 0) return;
    while (ReadBatch()) {
    }
  }
}

bool ChangeFeed::ReadBatch() {
  ssize_t length = read(group_.get(), buffer_.get(), kBufferBytes);
  if (length < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    SPDLOG_ERROR("changes by native processes were lost: {}", strerror(errno));
    report_(Change{.mask = FAN_Q_OVERFLOW, .own = false, .object = {}, .dir = {}, .name = {}});
    return false;
  }
  // The records of an event have any length, so the next event may stand at any multiple of four.
  const char* at = buffer_.get();
  fanotify_event_metadata head;
  std::vector<uint64_t> aligned;
  for (; length >= static_cast<ssize_t>(sizeof head); at += head.event_len, length -= head.event_len) {
    memcpy(&head, at, sizeof head);
    if (head.event_len < sizeof head || head.event_len > length) break;
    Change change{
        .mask = head.mask, .own = head.pid == self_, .object = {}, .dir = {}, .name = {}};
    if (change.own && (change.mask & FAN_DELETE_SELF) == 0) continue;
    aligned.resize(head.event_len / sizeof(uint64_t) + 1);
    memcpy(aligned.data(), at, head.event_len);
    ReadRecords(*export_, *reinterpret_cast<const fanotify_event_metadata*>(aligned.data()), &change);
    report_(change);
  }
  return true;
}

}  // namespace omfs
