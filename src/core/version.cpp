#include "caprl/core/version.h"

namespace caprl {

const char* version() { return CAPRL_VERSION; }

}  // namespace caprl
