// The program's version.
#pragma once

namespace caprl {

/// "0.1.0", semantic versioning.
const char* version();

}  // namespace caprl
