// Operations that the kernel knows and libfuse 3.14 does not: FUSE_TMPFILE (7.37) and FUSE_STATX
// (7.39). The session looks at each raw request before libfuse does; what it answers here libfuse
// never sees. Structures as in the kernel's include/uapi/linux/fuse.h.
#pragma once

#include <sys/statvfs.h>

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "omfs-fuse/file_system.h"

namespace omfs {

// If the request is one of these, answers it with `send`, which takes the complete reply and tells whether it is wanted
// (FuseRequest::Entry). False: it is none of these.
using SendReply = std::function<bool(std::span<const std::byte>)>;
bool AnswerRaw(FileSystem* fs, std::span<const std::byte> request, const SendReply& send);

// Replies that are made without libfuse, valid for no time. What the request is, they find out themselves: GETATTR and STATX from
// attr, STATFS from st; of attributes with a name there are none. request: its beginning, with the header.
std::vector<std::byte> AnswerWithoutOwner(std::span<const std::byte> request, const omfs_attr& attr, const struct statvfs& st);
// Whether it is one that AnswerWithoutOwner can answer.
bool HasAnswerWithoutOwner(uint32_t opcode);

// Whether the request is FUSE_INIT; if so, what the kernel offers (all 64 flags), and the minor number of its protocol.
bool IsInit(std::span<const std::byte> request, uint64_t* offered, uint32_t* minor);

// Adds to libfuse's reply to FUSE_INIT the features in which libfuse 3.14 has no say: shared
// mappings of files with direct I/O (FUSE_DIRECT_IO_ALLOW_MMAP, 7.39), and, if stack_depth is not 0, passthrough (7.40) to
// file systems stacked less than that. reply: the complete message, changed in place.
void PatchInitReply(uint64_t offered, uint32_t stack_depth, std::span<std::byte> reply);

// The bodies of the answers to OPEN and CREATE that name a backing file (passthrough.h). open_flags: FOPEN_*.
std::vector<std::byte> OpenBody(uint64_t handle, uint32_t open_flags, int32_t backing_id);
std::vector<std::byte> CreateBody(const fuse_entry_param& entry, uint64_t handle, uint32_t open_flags, int32_t backing_id);

}  // namespace omfs
