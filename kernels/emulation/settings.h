// What tests may choose and catch of the emulation.
#pragma once
#include <stdexcept>

namespace caprl::emulation {

/// Which warp of a block runs first (always until it waits), which lane of a warp, which block of a
/// grid. A kernel without races computes the same in every order.
enum class Order { kForward, kReverse, kRandom };

/// Until set, as the environment says: CAPRL_EMULATION_ORDER=forward, reverse, random or
/// random:SEED. The order until now.
Order set_order(Order order, unsigned seed = 1);
void set_num_multiprocessors(int count);

/// What a kernel did wrong, out of launch(). The block is given up, the next launch is sound.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace caprl::emulation
