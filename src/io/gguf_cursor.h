// Reads a GGUF file from front to back and never beyond its end.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "caprl/core/error.h"

namespace caprl::gguf {

class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string file)
      : bytes_(bytes), file_(std::move(file)) {}

  uint64_t position() const { return position_; }
  /// The bytes from an earlier position to this one.
  std::string_view since(uint64_t begin) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + begin, position_ - begin};
  }
  /// What errors name after the file; "" for nothing.
  void enter(std::string place) { place_ = std::move(place); }

  /// "FILE: PLACE: FIELD: …".
  template <class... Args>
  [[noreturn]] void fail(std::string_view field, fmt::format_string<Args...> format,
                         Args&&... args) const {
    throw InputError("{}: {}{}{}: {}", file_, place_, place_.empty() ? "" : ": ", field,
                     fmt::format(format, std::forward<Args>(args)...));
  }

  std::string_view bytes(std::string_view field, uint64_t size) {
    if (size > remaining())
      fail(field, "truncated: expected {} bytes, got {} to the end of the file", size, remaining());
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + position_, size);
    position_ += size;
    return text;
  }

  template <class T>
  T number(std::string_view field) {
    T value;
    std::memcpy(&value, bytes(field, sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string_view string(std::string_view field) { return bytes(field, number<uint64_t>(field)); }

  /// A number of items of `item_bytes` or more.
  uint64_t count(std::string_view field, uint64_t item_bytes) {
    const auto value = number<uint64_t>(field);
    check_count(field, value, item_bytes);
    return value;
  }

  void check_count(std::string_view field, uint64_t value, uint64_t item_bytes) const {
    if (value > remaining() / item_bytes)
      fail(field, "expected at most {}, what is left of the file, got {}", remaining() / item_bytes,
           value);
  }

 private:
  uint64_t remaining() const { return bytes_.size() - position_; }

  std::span<const std::byte> bytes_;
  uint64_t position_ = 0;
  std::string file_, place_;
};

}  // namespace caprl::gguf
