// Bytes within something larger that they keep alive.
#pragma once
#include <cstddef>
#include <memory>
#include <span>

namespace caprl {

struct SharedBytes {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

}  // namespace caprl
