// The data plane's server: the owner's side of oMFS. It serves one export, Config::export_path, to
// the nodes of the cluster over mutual TLS.
//
// The way of a request: listener -> connection -> session -> dispatcher -> one file of ops/ ->
// export, handle, open table. docs/architecture.md and the files' own comments tell the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "omfs/base/config.h"
#include "omfs/base/errno_or.h"
#include "omfs/base/ids.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/net/tls.h"
#include "omfs/store/store.h"
#include "proto/omfs_wire.h"

namespace omfs {

struct ServerStats {
  uint64_t sessions = 0;  // alive, their lease not passed
  uint64_t opens = 0;     // of all sessions
  uint64_t nameless = 0;  // objects without a name that are kept for clients
  bool keeper_runs = false;
};

// Thread-safe. Needs root: operations run with their callers' ids.
class DataServer {
 public:
  // Opens the export and listens on config.listen:data_port (0: any free port, see port()). Errors
  // name what cannot be used: the export path, a file system without file handles, address and
  // port. fdkeeper: path of the program omfs-fdkeeper; empty: files without a name do not outlive the server.
  static absl::StatusOr<std::unique_ptr<DataServer>> Start(const Config& config,
                                                           std::shared_ptr<TlsContext> tls,
                                                           std::shared_ptr<Store> store,
                                                           const std::string& fdkeeper = "");
  ServerStats stats() const;
  // How changes made outside /mfs are noticed, in one line for people.
  std::string NativeChanges() const;
  // The handle with which clients reach an open object of the export (any kind of descriptor).
  // EXDEV: it lies elsewhere.
  ErrnoOr<omfs_fh> Identify(int fd) const;
  // An O_PATH descriptor of the regular file that an open of a client on this node is of (LocalFiles::Find).
  ErrnoOr<ScopedFd> Descriptor(SessionId session, OpenId open, const omfs_fh& object) const;
  uint16_t port() const;

  // Takes no more requests, answers those under way, closes all connections, sessions and opens.
  // Idempotent.
  void Stop();
  ~DataServer();

 private:
  class Impl;
  explicit DataServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace omfs
