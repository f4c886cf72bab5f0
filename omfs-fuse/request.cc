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

// fuse_reply_* fail only when the caller or the mount is gone.
void FuseRequest::Fail(Errno e) { taken_ = fuse_reply_err(Take(), e.value) == 0; }
void FuseRequest::Entry(const fuse_entry_param& e) { taken_ = fuse_reply_entry(Take(), &e) == 0; }
void FuseRequest::Create(const fuse_entry_param& e, const fuse_file_info& fi) {
  taken_ = fuse_reply_create(Take(), &e, &fi) == 0;
}
void FuseRequest::Open(const fuse_file_info& fi) { taken_ = fuse_reply_open(Take(), &fi) == 0; }
void FuseRequest::Opened(std::span<const std::byte> body) {
  taken_ = fuse_reply_buf(Take(), reinterpret_cast<const char*>(body.data()), body.size()) == 0;
}
void FuseRequest::Attr(const struct stat& st, double valid_seconds) {
  taken_ = fuse_reply_attr(Take(), &st, valid_seconds) == 0;
}
void FuseRequest::ReadLink(const std::string& target) {
  taken_ = fuse_reply_readlink(Take(), target.c_str()) == 0;
}
void FuseRequest::Written(size_t bytes) { taken_ = fuse_reply_write(Take(), bytes) == 0; }
void FuseRequest::Data(const void* data, size_t size) {
  taken_ = fuse_reply_buf(Take(), static_cast<const char*>(data), size) == 0;
}
void FuseRequest::StatFs(const struct statvfs& st) { taken_ = fuse_reply_statfs(Take(), &st) == 0; }
void FuseRequest::XattrSize(size_t size) { taken_ = fuse_reply_xattr(Take(), size) == 0; }
void FuseRequest::Lock(const struct flock& lock) { taken_ = fuse_reply_lock(Take(), &lock) == 0; }
void FuseRequest::Ioctl(const void* out, size_t size) { taken_ = fuse_reply_ioctl(Take(), 0, out, size) == 0; }
void FuseRequest::Seek(off_t offset) { taken_ = fuse_reply_lseek(Take(), offset) == 0; }
void FuseRequest::Nothing() { fuse_reply_none(Take()); }

}  // namespace omfs
