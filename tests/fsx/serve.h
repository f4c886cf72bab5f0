// The part of the random I/O test that runs on a node: does what commands on standard input say to
// one file.
#pragma once

#include <cstddef>

namespace omfs::fsx {

// Until the end of standard input. Gives the exit status.
int Serve(const char* path);

// Whole or not at all (false: the other end is gone).
bool ReadAll(int fd, void* to, size_t length);
bool WriteAll(int fd, const void* from, size_t length);

}  // namespace omfs::fsx
