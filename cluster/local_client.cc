#include "cluster/local_client.h"

#include "omfs/base/status.h"
#include "omfs/net/frame.h"

namespace omfs {

absl::StatusOr<local::Reply> AskDaemon(const std::string& run_dir, const local::Request& request) {
  const std::string path = run_dir + "/" + kLocalSocketName;
  const auto fd = ConnectUnix(path);
  if (!fd.ok()) return Unavailable("omfsd does not run here ({})", Text(fd.status()));
  OMFS_RETURN_IF_ERROR(SendFrame(fd->get(), request.SerializeAsString()));
  const auto bytes = ReceiveFrame(fd->get());
  if (!bytes.ok()) return Unavailable("omfsd ended before it answered");
  local::Reply reply;
  if (!reply.ParseFromString(*bytes)) return Internal("omfsd's answer cannot be read");
  if (reply.error() != 0) {
    const std::string text = reply.text().empty() ? strerror(reply.error()) : reply.text();
    return absl::Status(absl::ErrnoToStatusCode(reply.error()), text);
  }
  return reply;
}

}  // namespace omfs
