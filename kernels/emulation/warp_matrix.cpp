// A product of small matrices that a warp holds together.
#include "kernels/emulation/block.h"
#include "kernels/emulation/device_matrix.h"

namespace caprl::emulation {
namespace {

struct Operands {
  uint32_t a[4], b[2];
};
Operands operands[32][kLanes];  // [warp of the block][lane]

/// Value `index` (0 or 1) of a word.
float part(uint32_t word, unsigned index) {
  return kernels::to_float(kernels::Bf16{static_cast<uint16_t>(word >> 16 * index)});
}

float a_value(const Operands* lanes, unsigned row, unsigned column) {
  const unsigned word = row / 8 + 2 * (column / 8);
  return part(lanes[row % 8 * 4 + column % 8 / 2].a[word], column % 2);
}

float b_value(const Operands* lanes, unsigned row, unsigned column) {
  return part(lanes[column * 4 + row % 8 / 2].b[row / 8], row % 2);
}

/// All lanes have come here. Like a shuffle it does not order memory.
void meet(const Location& where) {
  warp_call({WarpOperation::kShuffle, 0xffffffffu, 0, threadIdx.x % kLanes, kLanes, where});
}

}  // namespace

void multiply_add(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                  const Location& where) {
  const unsigned lane = threadIdx.x % kLanes;
  Operands* const lanes = operands[threadIdx.x / kLanes];
  lanes[lane] = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  meet(where);
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    for (unsigned k = 0; k < 16; ++k) c[i] += a_value(lanes, row, k) * b_value(lanes, k, column);
  }
  meet(where);  // before the next operands are put here
}

}  // namespace caprl::emulation
