#include "tests/checker/client.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "tests/checker/model.h"

namespace omfs::checker {
namespace {

constexpr uint64_t kToken = sizeof(uint64_t);
constexpr uint64_t kTornRead =
    ~uint64_t{0};  // in a value: not a whole number of tokens; no model agrees with it

int64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1'000'000'000} + t.tv_nsec;
}

int ErrorOf(int64_t result) { return result < 0 ? errno : 0; }

std::string NameIn(const Object& object, uint64_t name) {
  return object.path + "/n" + std::to_string(name);
}

int WriteToken(int fd, uint64_t token, int64_t offset) {
  const ssize_t n = offset < 0 ? write(fd, &token, kToken) : pwrite(fd, &token, kToken, offset);
  return n < 0 ? errno : n == kToken ? 0 : EIO;
}

int ReadTokens(int fd, const Object& object, uint64_t slot, std::vector<uint64_t>* value) {
  std::array<uint64_t, 8192> buffer;
  const bool paged = object.kind == Kind::kPaged;
  const ssize_t n = pread(fd, buffer.data(), paged ? kToken : sizeof buffer,
                          paged ? static_cast<off_t>(slot * kStride) : 0);
  if (n < 0) return errno;
  value->assign(buffer.begin(), buffer.begin() + n / kToken);
  if (n % kToken != 0) value->push_back(kTornRead);
  return 0;
}

int64_t OffsetOf(const Object& object, uint64_t slot) {
  return static_cast<int64_t>(slot * (object.kind == Kind::kPaged ? kStride : kToken));
}

int NoteSize(const Object& object, const struct stat& st, std::vector<uint64_t>* value) {
  const auto size = static_cast<uint64_t>(st.st_size);
  value->assign(1, object.kind == Kind::kPaged ? size
                   : size % kToken == 0        ? size / kToken
                                               : kTornRead);
  return 0;
}

// With a descriptor of its own; what close says counts. EHOSTDOWN of anything but the open may come
// after something was done.
template <typename Body>
int WithFile(const std::string& path, int flags, Body body) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  const int body_error = body(fd);
  const int close_error = ErrorOf(close(fd));
  const int error = body_error != 0 ? body_error : close_error;
  return error == EHOSTDOWN ? EIO : error;
}

int List(const Object& object, std::vector<uint64_t>* value) {
  DIR* dir = opendir(object.path.c_str());
  if (dir == nullptr) return errno;
  errno = 0;
  while (const dirent* e = readdir(dir)) {
    if (e->d_name[0] == 'n') value->push_back(strtoul(e->d_name + 1, nullptr, 10));
    errno = 0;
  }
  const int error = errno;
  closedir(dir);
  std::sort(value->begin(), value->end());
  return error;
}

int Lookup(const Object& object, uint64_t name, std::vector<uint64_t>* value) {
  const std::string path = NameIn(object, name);
  if (object.symlinks) {
    char text[64] = {};
    if (readlink(path.c_str(), text, sizeof text - 1) < 0) return errno;
    value->assign(1, strtoull(text, nullptr, 10));
    return 0;
  }
  return WithFile(path, O_RDONLY, [&](int fd) {
    uint64_t identity = 0;
    const ssize_t n = read(fd, &identity, kToken);
    value->assign(1, n == 0 ? 0 : n == kToken ? identity : kTornRead);
    return ErrorOf(n);
  });
}

}  // namespace

template <typename Body>
int Client::Note(const Planned& planned, Body body) {
  const Object& object = objects_[planned.object];
  Operation op;
  op.object = object.name;
  op.kind = object.kind;
  op.client = number_;
  op.node = node_;
  op.code = planned.code;
  op.a = planned.a;
  op.b = planned.b;
  op.invoked = Now();
  const int error = body(&op.value);
  op.returned = Now();
  if (error == EHOSTDOWN && op.code != Code::kSync) return error;
  if (error == 0) {
    op.outcome = Outcome::kOk;
  } else if (object.kind == Kind::kNames && (error == ENOENT || error == EEXIST)) {
    op.outcome = error == ENOENT ? Outcome::kNoEntry : Outcome::kExists;
  } else {
    op.outcome = Outcome::kUnknown;
    op.error = strerrorname_np(error);
  }
  if (op.outcome != Outcome::kOk) op.value.clear();
  history_.push_back(std::move(op));
  return error;
}

void Client::Do(const Planned& planned) {
  const Object& object = objects_[planned.object];
  if (object.kind == Kind::kNames) {
    Planned p = planned;
    // What is placed must lie ready first; if that fails, there is nothing to note.
    if (p.code == Code::kPlace ||
        (p.code == Code::kCreate && !object.symlinks && (p.b & kFilledLater) == 0)) {
      const std::string staged = StagingOf(object, number_) + "/" + std::to_string(p.b);
      const int error = object.symlinks
                            ? ErrorOf(symlink(std::to_string(p.b).c_str(), staged.c_str()))
                            : WithFile(staged, O_WRONLY | O_CREAT,
                                       [&](int fd) { return WriteToken(fd, p.b, 0); });
      if (error != 0) return;
    }
    Note(p, [&](std::vector<uint64_t>* value) { return OnNames(p, value); });
    return;
  }
  if (planned.code == Code::kSync) return SyncHeld(planned.object, false);
  if (planned.held && Hold(planned.object) != 0) return;
  const int error =
      Note(planned, [&](std::vector<uint64_t>* value) { return OnFile(planned, value); });
  // The descriptor may be dead; what was written through it has to be accounted for.
  if (error != 0 && planned.held) SyncHeld(planned.object, true);
}

int Client::Hold(size_t object) {
  if (held_.contains(object)) return 0;
  Held h;
  h.plain = ScopedFd(open(objects_[object].path.c_str(), O_RDWR | O_CLOEXEC));
  if (!h.plain) return errno;
  h.appending = ScopedFd(open(objects_[object].path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!h.appending) return errno;
  held_.emplace(object, std::move(h));
  return 0;
}

void Client::SyncHeld(size_t object, bool let_go) {
  const auto held = held_.find(object);
  if (held == held_.end()) return;
  Note({object, Code::kSync, 0, 0, true, false}, [&](std::vector<uint64_t>*) {
    int error = ErrorOf(fsync(held->second.plain.get()));
    if (const int e = ErrorOf(fsync(held->second.appending.get())); error == 0) error = e;
    if (!let_go) return error;
    for (ScopedFd* fd : {&held->second.plain, &held->second.appending}) {
      if (const int e = ErrorOf(close(fd->release())); error == 0) error = e;
    }
    return error;
  });
  if (let_go) held_.erase(held);
}

int Client::OnFile(const Planned& p, std::vector<uint64_t>* value) {
  const Object& object = objects_[p.object];
  const int64_t offset = OffsetOf(object, p.a);
  const Held* held = p.held ? &held_[p.object] : nullptr;
  switch (p.code) {
    case Code::kRead:
      if (held != nullptr) return ReadTokens(held->plain.get(), object, p.a, value);
      return WithFile(object.path, O_RDONLY,
                      [&](int fd) { return ReadTokens(fd, object, p.a, value); });
    case Code::kSize: {
      struct stat st;
      const int r =
          held != nullptr ? fstat(held->plain.get(), &st) : stat(object.path.c_str(), &st);
      return r < 0 ? errno : NoteSize(object, st, value);
    }
    case Code::kWrite:
      if (held != nullptr) return WriteToken(held->plain.get(), p.b, offset);
      return WithFile(object.path, O_WRONLY, [&](int fd) { return WriteToken(fd, p.b, offset); });
    case Code::kAppend:
      if (held != nullptr) return WriteToken(held->appending.get(), p.b, -1);
      return WithFile(object.path, O_WRONLY | O_APPEND,
                      [&](int fd) { return WriteToken(fd, p.b, -1); });
    case Code::kTruncate:
      if (held != nullptr) return ErrorOf(ftruncate(held->plain.get(), offset));
      if (offset == 0 && p.variant)
        return WithFile(object.path, O_WRONLY | O_TRUNC, [](int) { return 0; });
      return ErrorOf(truncate(object.path.c_str(), offset));
    default:
      return EINVAL;
  }
}

int Client::Make(const Object& object, const Planned& p) {
  const std::string path = NameIn(object, p.a);
  if (object.symlinks) return ErrorOf(symlink(std::to_string(p.b).c_str(), path.c_str()));
  if ((p.b & kFilledLater) == 0) {
    return ErrorOf(
        link((StagingOf(object, number_) + "/" + std::to_string(p.b)).c_str(), path.c_str()));
  }
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  // It is made; whether it gets its content is another matter.
  (void)WriteToken(fd, p.b, 0);
  close(fd);
  return 0;
}

int Client::Place(const Object& object, const Planned& p) {
  const std::string staged = StagingOf(object, number_) + "/" + std::to_string(p.b);
  const int error = ErrorOf(rename(staged.c_str(), NameIn(object, p.a).c_str()));
  return error == ENOENT ? EIO
                         : error;  // what lay ready is gone: not an answer that the model knows
}

int Client::OnNames(const Planned& p, std::vector<uint64_t>* value) {
  const Object& object = objects_[p.object];
  const std::string path = NameIn(object, p.a);
  switch (p.code) {
    case Code::kCreate:
      return Make(object, p);
    case Code::kPlace:
      return Place(object, p);
    case Code::kUnlink:
      return ErrorOf(unlink(path.c_str()));
    case Code::kRename:
      return ErrorOf(rename(path.c_str(), NameIn(object, p.b).c_str()));
    case Code::kLink:
      return ErrorOf(link(path.c_str(), NameIn(object, p.b).c_str()));
    case Code::kMkdir:
      return ErrorOf(mkdir(path.c_str(), 0755));
    case Code::kRmdir:
      return ErrorOf(rmdir(path.c_str()));
    case Code::kLookup:
      return Lookup(object, p.a, value);
    case Code::kList:
      return List(object, value);
    default:
      return EINVAL;
  }
}

void Client::End() {
  while (!held_.empty()) SyncHeld(held_.begin()->first, true);
}

void Client::ReadAll() {
  for (size_t i = 0; i < objects_.size(); ++i) {
    const Object& object = objects_[i];
    if (object.kind == Kind::kNames) {
      for (uint64_t name = 0; name + 2 < kNames; ++name)
        Do({i, Code::kLookup, name, 0, false, false});
      Do({i, Code::kList, 0, 0, false, false});
      continue;
    }
    for (uint64_t slot = 0; slot < (object.kind == Kind::kPaged ? kSlots : 1); ++slot) {
      Do({i, Code::kRead, slot, 0, false, false});
    }
    Do({i, Code::kSize, 0, 0, false, false});
  }
}

}  // namespace omfs::checker
