// The checksum of TensorFlow's records.
#pragma once
#include <cstdint>
#include <string_view>

namespace caprl {

/// CRC-32C (Castagnoli), as in iSCSI (RFC 3720).
uint32_t crc32c(std::string_view bytes);

}  // namespace caprl
