#include "draws.h"

namespace caprl::demo {

Draws::Draws(uint64_t seed, Split split, int64_t item)
    : rng_(seed, RandomPurpose::kDemoWorld,
           {static_cast<uint64_t>(split), static_cast<uint64_t>(item)}) {}

}  // namespace caprl::demo
