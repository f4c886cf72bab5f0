// ErrnoOr<T>: a value, or the positive errno a system call or a file operation failed with.
// Used where an errno is exactly what must reach the caller; across modules use absl::StatusOr.
#pragma once

#include <cerrno>
#include <utility>
#include <variant>

namespace omfs {

// A positive errno value. Errno{0} is success.
struct Errno {
  int value = 0;
  constexpr Errno() = default;
  constexpr explicit Errno(int v) : value(v) {}
  static Errno Last() { return Errno(errno); }
  constexpr bool ok() const { return value == 0; }
  friend constexpr bool operator==(Errno, Errno) = default;
};

template <typename T>
class [[nodiscard]] ErrnoOr {
 public:
  ErrnoOr(Errno e) : state_(e) {}                 // NOLINT: converts like absl::StatusOr
  ErrnoOr(T value) : state_(std::move(value)) {}  // NOLINT
  bool ok() const { return state_.index() == 1; }
  Errno error() const { return ok() ? Errno() : std::get<0>(state_); }
  T& value() & { return std::get<1>(state_); }
  const T& value() const& { return std::get<1>(state_); }
  T&& value() && { return std::get<1>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<Errno, T> state_;
};

}  // namespace omfs
