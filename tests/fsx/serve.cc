#include "tests/fsx/serve.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "omfs/base/scoped_fd.h"
#include "tests/fsx/operations.h"

namespace omfs::fsx {
namespace {

class Server {
 public:
  explicit Server(std::string path) : path_(std::move(path)) {}

  int Open() {
    file_ = ScopedFd(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    appending_ = ScopedFd(open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    return file_ && appending_ ? 0 : errno;
  }

  Reply Do(const Command& c, std::vector<std::byte>* bytes) {
    bytes->clear();
    int64_t n = 0;
    switch (c.code) {
      case Code::kRead:
        n = Read(c, bytes);
        break;
      case Code::kWrite:
        n = pwrite(file_.get(), Data(c), c.length, static_cast<off_t>(c.offset));
        break;
      case Code::kAppend:
        n = write(appending_.get(), Data(c), c.length);
        break;
      case Code::kMapRead:
      case Code::kMapWrite:
        n = Map(c, bytes);
        break;
      case Code::kTruncate:
        n = ftruncate(file_.get(), static_cast<off_t>(c.offset));
        break;
      case Code::kPunch:
        n = Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, c);
        break;
      case Code::kZero:
        n = Allocate(FALLOC_FL_ZERO_RANGE, c);
        break;
      case Code::kAllocate:
        n = Allocate(0, c);
        break;
      case Code::kAllocateKeepSize:
        n = Allocate(FALLOC_FL_KEEP_SIZE, c);
        break;
      case Code::kCopy:
        n = Copy(c);
        break;
      case Code::kReopen: {
        const int closed = close(file_.release()), closed_too = close(appending_.release());
        if (closed != 0 || closed_too != 0 || Open() != 0) n = -1;
        break;
      }
      case Code::kSync:
        n = fsync(file_.get());
        break;
      case Code::kSize:
        n = Size();
        break;
      case Code::kCount:
        errno = EINVAL;
        n = -1;
    }
    Reply reply;
    if (n < 0) {
      reply.error = errno;
      bytes->clear();
    } else {
      reply.number = static_cast<uint64_t>(n);
    }
    reply.bytes = bytes->size();
    return reply;
  }

 private:
  const std::byte* Data(const Command& c) {
    data_.resize(c.length);
    Fill(c.fill, data_.data(), c.length);
    return data_.data();
  }

  int64_t Read(const Command& c, std::vector<std::byte>* bytes) {
    bytes->resize(c.length);
    const ssize_t n = pread(file_.get(), bytes->data(), c.length, static_cast<off_t>(c.offset));
    bytes->resize(n < 0 ? 0 : static_cast<size_t>(n));
    return n;
  }

  // What the kernel of this node believes the size to be must be asked for anew before it maps or
  // copies: it checks both against the size it knows, and asks a FUSE client only when somebody
  // calls stat. Programs that map or copy a file ask for its size first, too; those that keep a
  // descriptor and rely on what they knew are not served by any FUSE file system.
  int LearnSize() {
    struct stat st;
    return fstat(file_.get(), &st);
  }

  // A map for this one operation; what was written is the file's when msync has returned.
  int64_t Map(const Command& c, std::vector<std::byte>* bytes) {
    const bool writing = c.code == Code::kMapWrite;
    const uint64_t before = c.offset % 4096, length = before + c.length;
    if (LearnSize() != 0) return -1;
    void* map = mmap(nullptr, length, writing ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
                     file_.get(), static_cast<off_t>(c.offset - before));
    if (map == MAP_FAILED) return -1;
    std::byte* at = static_cast<std::byte*>(map) + before;
    int result = 0;
    if (writing) {
      memcpy(at, Data(c), c.length);
      result = msync(map, length, MS_SYNC);
    } else {
      bytes->assign(at, at + c.length);
    }
    const int error = errno;
    munmap(map, length);
    errno = error;
    return result != 0 ? -1 : static_cast<int64_t>(c.length);
  }

  int Allocate(int mode, const Command& c) {
    return fallocate(file_.get(), mode, static_cast<off_t>(c.offset), static_cast<off_t>(c.length));
  }

  // A short copy is gone on with, as cp does.
  int64_t Copy(const Command& c) {
    if (LearnSize() != 0) return -1;
    loff_t from = static_cast<loff_t>(c.offset), to = static_cast<loff_t>(c.target);
    uint64_t done = 0;
    while (done < c.length) {
      const ssize_t n = copy_file_range(file_.get(), &from, file_.get(), &to, c.length - done, 0);
      if (n < 0) return -1;
      if (n == 0) break;
      done += static_cast<uint64_t>(n);
    }
    return static_cast<int64_t>(done);
  }

  int64_t Size() {
    struct stat by_descriptor, by_path;
    if (fstat(file_.get(), &by_descriptor) != 0 || stat(path_.c_str(), &by_path) != 0) return -1;
    if (by_descriptor.st_size == by_path.st_size) return by_path.st_size;
    errno = EUCLEAN;
    return -1;
  }

  const std::string path_;
  ScopedFd file_, appending_;
  std::vector<std::byte> data_;
};

}  // namespace

bool ReadAll(int fd, void* to, size_t length) {
  for (size_t done = 0; done < length;) {
    const ssize_t n = read(fd, static_cast<char*>(to) + done, length - done);
    if (n == 0 || (n < 0 && errno != EINTR)) return false;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return true;
}

bool WriteAll(int fd, const void* from, size_t length) {
  for (size_t done = 0; done < length;) {
    const ssize_t n = write(fd, static_cast<const char*>(from) + done, length - done);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return true;
}

int Serve(const char* path) {
  Server server(path);
  if (const int e = server.Open(); e != 0) {
    fprintf(stderr, "omfs-fsx: %s: %s\n", path, strerror(e));
    return 1;
  }
  std::vector<std::byte> bytes;
  for (Command c; ReadAll(STDIN_FILENO, &c, sizeof c);) {
    const Reply reply = server.Do(c, &bytes);
    if (!WriteAll(STDOUT_FILENO, &reply, sizeof reply) ||
        !WriteAll(STDOUT_FILENO, bytes.data(), bytes.size()))
      return 1;
  }
  return 0;
}

}  // namespace omfs::fsx
