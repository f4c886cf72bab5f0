// Reading small files of /proc whole.
#pragma once

#include <fcntl.h>

#include <optional>
#include <string>

#include "omfs/base/scoped_fd.h"

namespace omfs {

// Up to 64 KiB of the file; nullopt if it cannot be read.
inline std::optional<std::string> ReadProcFile(const std::string& path) {
  ScopedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::string text(4096, '\0');
  size_t fill = 0;
  for (;;) {
    const ssize_t n = read(fd.get(), text.data() + fill, text.size() - fill);
    if (n < 0) return std::nullopt;
    fill += n;
    if (n == 0 || fill == 64 * 1024) break;
    if (fill == text.size()) text.resize(64 * 1024);
  }
  text.resize(fill);
  return text;
}

}  // namespace omfs
