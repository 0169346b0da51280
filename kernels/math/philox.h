// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): plain
// functions that CPU code and CUDA kernels share.
#pragma once
#include <stdint.h>

#include "kernels/math/host_device.h"

namespace caprl::kernels {

struct PhiloxBlock {
  uint32_t words[4];
};

CAPRL_HOST_DEVICE CAPRL_ALWAYS_INLINE PhiloxBlock philox4x32_10(PhiloxBlock counter, uint32_t key0,
                                                                uint32_t key1) {
  constexpr uint64_t kM0 = 0xD2511F53, kM1 = 0xCD9E8D57;
  constexpr uint32_t kW0 = 0x9E3779B9, kW1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint32_t* c = counter.words;
    const uint64_t p0 = kM0 * c[0], p1 = kM1 * c[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ key0, static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ key1, static_cast<uint32_t>(p0)};
    key0 += kW0;
    key1 += kW1;
  }
  return counter;
}

/// Four independent words at the counter (high, low): how all of caprl addresses its numbers.
CAPRL_HOST_DEVICE CAPRL_ALWAYS_INLINE PhiloxBlock philox_block(uint64_t key, uint64_t high,
                                                               uint64_t low) {
  return philox4x32_10({static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32),
                        static_cast<uint32_t>(high), static_cast<uint32_t>(high >> 32)},
                       static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32));
}

}  // namespace caprl::kernels
