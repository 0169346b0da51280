// How this program was built.
#pragma once
#include <string>

namespace caprl {

bool built_with_cuda();
/// "commit 1a2b3c4d, Release, Clang 14.0.6, LibTorch 2.11.0, CPU only, Parquet"
std::string build_info();

}  // namespace caprl
