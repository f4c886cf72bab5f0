#include "omfs-fuse/request.h"

#include <utility>

#include "omfs/base/log.h"

namespace omfs {

FuseRequest::FuseRequest(fuse_req_t req) : req_(req) {
  const fuse_ctx* ctx = fuse_req_ctx(req);
  ids_ = {ctx->uid, ctx->gid, ctx->pid, ctx->umask};
}

FuseRequest::~FuseRequest() {
  if (req_ == nullptr) return;
  spdlog::error("a request was left without an answer");
  fuse_reply_err(req_, EIO);
}

fuse_req_t FuseRequest::Take() { return std::exchange(req_, nullptr); }

// The results of fuse_reply_* are not of interest: they fail only when the caller or the mount is
// gone.
void FuseRequest::Fail(Errno e) { fuse_reply_err(Take(), e.value); }
void FuseRequest::Entry(const fuse_entry_param& e) { fuse_reply_entry(Take(), &e); }
void FuseRequest::Create(const fuse_entry_param& e, const fuse_file_info& fi) {
  fuse_reply_create(Take(), &e, &fi);
}
void FuseRequest::Open(const fuse_file_info& fi) { fuse_reply_open(Take(), &fi); }
void FuseRequest::Opened(std::span<const std::byte> body) {
  fuse_reply_buf(Take(), reinterpret_cast<const char*>(body.data()), body.size());
}
void FuseRequest::Attr(const struct stat& st, double valid_seconds) {
  fuse_reply_attr(Take(), &st, valid_seconds);
}
void FuseRequest::ReadLink(const std::string& target) {
  fuse_reply_readlink(Take(), target.c_str());
}
void FuseRequest::Written(size_t bytes) { fuse_reply_write(Take(), bytes); }
void FuseRequest::Data(const void* data, size_t size) {
  fuse_reply_buf(Take(), static_cast<const char*>(data), size);
}
void FuseRequest::StatFs(const struct statvfs& st) { fuse_reply_statfs(Take(), &st); }
void FuseRequest::XattrSize(size_t size) { fuse_reply_xattr(Take(), size); }
void FuseRequest::Lock(const struct flock& lock) { fuse_reply_lock(Take(), &lock); }
void FuseRequest::Ioctl(const void* out, size_t size) { fuse_reply_ioctl(Take(), 0, out, size); }
void FuseRequest::Seek(off_t offset) { fuse_reply_lseek(Take(), offset); }
void FuseRequest::Nothing() { fuse_reply_none(Take()); }

InterruptScope::InterruptScope(FuseRequest& request, CancelToken* token) : req_(request.req_) {
  fuse_req_interrupt_func(
      req_, [](fuse_req_t, void* t) { static_cast<CancelToken*>(t)->Cancel(); }, token);
}

// libfuse runs the callback under the request's lock, so none is running when this returns.
InterruptScope::~InterruptScope() { fuse_req_interrupt_func(req_, nullptr, nullptr); }

}  // namespace omfs
