// What omfs-fuse and its own node's omfsd say to one another on the socket RUN-DIR/files.sock (SOCK_SEQPACKET, root only).
//
// omfs-fuse gets from it the descriptors of files that it has opened at its own node, for FUSE passthrough, and tells how it
// serves the node's own files. Both ends are of one installation and one machine: structures are in host order, and another
// version is refused. One message is one packet; a request is answered before the next one is read.
#pragma once

#include <cstdint>
#include <string>

#include "proto/omfs_wire.h"

namespace omfs {

inline constexpr char kLocalFilesSocket[] = "files.sock";
inline constexpr uint32_t kLocalFilesVersion = 1;

struct LocalFilesRequest {
  enum Kind : uint32_t {
    kDescriptor = 1,  // reply: the errno, and with 0 an O_PATH descriptor (SCM_RIGHTS)
    kMount = 2,       // reply: 0. What is told is true until the connection ends, or until told otherwise
  };
  uint32_t version = kLocalFilesVersion;
  uint32_t kind = 0;
  // kDescriptor: an open of a regular file, and of which file.
  uint64_t session = 0;
  uint64_t open = 0;
  omfs_fh object{};
  // kMount: how the mount serves the node's own files. Both end with a NUL, or with their last byte.
  uint32_t passthrough = 0;  // 1: by descriptors
  char path[1024] = {};      // where the node's own files are mounted
  char detail[512] = {};     // why not otherwise; may be empty
};

struct LocalFilesReply {
  int32_t error = 0;
};

}  // namespace omfs
