// A block of bytes of the heap, not initialised: payloads are read straight into it and sent
// straight out of it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace omfs {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size)
      : data_(std::make_unique_for_overwrite<std::byte[]>(size)), size_(size) {}
  Buffer(Buffer&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  std::byte* data() { return data_.get(); }
  size_t size() const { return size_; }
  std::span<std::byte> span() { return {data_.get(), size_}; }
  std::span<const std::byte> span() const { return {data_.get(), size_}; }
  // Keeps the first `size` bytes.
  void Shorten(size_t size) { size_ = size; }

 private:
  std::unique_ptr<std::byte[]> data_;
  size_t size_ = 0;
};

}  // namespace omfs
