// FuseRequest: one request of the kernel, answered exactly once.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "omfs-fuse/caller.h"
#include "omfs-fuse/fuse_api.h"
#include "omfs/base/errno_or.h"

namespace omfs {

// Lives in the worker thread that handles the request. One that is destroyed unanswered answers
// EIO: a caller in the kernel must never be left waiting.
class FuseRequest {
 public:
  explicit FuseRequest(fuse_req_t req);
  ~FuseRequest();
  FuseRequest(const FuseRequest&) = delete;
  FuseRequest& operator=(const FuseRequest&) = delete;

  const RequestIds& ids() const { return ids_; }
  Caller caller() const { return CallerOf(ids_); }

  void Fail(Errno e);
  void Fail(int e) { Fail(Errno(e)); }
  void Done(Errno e) { Fail(e); }  // success if e is 0
  void Entry(const fuse_entry_param& e);
  void Create(const fuse_entry_param& e, const fuse_file_info& fi);
  void Open(const fuse_file_info& fi);
  // The answer to OPEN or CREATE as it goes to the kernel (raw_ops.h).
  void Opened(std::span<const std::byte> body);
  void Attr(const struct stat& st, double valid_seconds);
  void ReadLink(const std::string& target);
  void Written(size_t bytes);
  void Data(const void* data, size_t size);
  void StatFs(const struct statvfs& st);
  void XattrSize(size_t size);
  void Lock(const struct flock& lock);
  void Ioctl(const void* out, size_t size);
  void Seek(off_t offset);
  void Nothing();  // FORGET has no answer

  // After the answer: false if it was not wanted any more (WaitingRequests). Whatever it gave the kernel - a lookup of an object,
  // an open - must be taken back then.
  bool taken() const { return taken_; }

 private:
  fuse_req_t Take();

  fuse_req_t req_;
  RequestIds ids_;
  bool taken_ = false;
};

}  // namespace omfs
