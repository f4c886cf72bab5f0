// Building absl::Status values out of errno and formatted text.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace omfs {

// "what: strerror(err)", with the canonical code that fits err.
inline absl::Status ErrnoStatus(int err, const std::string& what) {
  return absl::ErrnoToStatus(err, what);
}

template <typename... Args>
absl::Status InvalidArgument(fmt::format_string<Args...> f, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(f, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status FailedPrecondition(fmt::format_string<Args...> f, Args&&... args) {
  return absl::FailedPreconditionError(fmt::format(f, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status Unavailable(fmt::format_string<Args...> f, Args&&... args) {
  return absl::UnavailableError(fmt::format(f, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status Internal(fmt::format_string<Args...> f, Args&&... args) {
  return absl::InternalError(fmt::format(f, std::forward<Args>(args)...));
}

inline std::string Text(const absl::Status& s) { return std::string(s.message()); }

// Text that came from elsewhere - a file, a program, an argument - on one line and without anything that could steer
// a terminal.
inline std::string Printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

}  // namespace omfs

// Returns from the function with the status when expr (an absl::Status) is not OK.
#define OMFS_RETURN_IF_ERROR(expr)                    \
  do {                                                \
    if (absl::Status omfs_s_ = (expr); !omfs_s_.ok()) return omfs_s_; \
  } while (false)
#define OMFS_CONCAT_INNER_(a, b) a##b
#define OMFS_CONCAT_(a, b) OMFS_CONCAT_INNER_(a, b)
// OMFS_ASSIGN_OR_RETURN(auto x, Expr()): x = value of the StatusOr, or returns its status.
#define OMFS_ASSIGN_OR_RETURN(lhs, expr) \
  OMFS_ASSIGN_OR_RETURN_IMPL_(OMFS_CONCAT_(omfs_or_, __LINE__), lhs, expr)
#define OMFS_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  if (!tmp.ok()) return tmp.status();               \
  lhs = std::move(tmp).value()
