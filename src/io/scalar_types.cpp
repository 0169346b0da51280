#include "scalar_types.h"

#include <algorithm>

namespace caprl::safetensors {
namespace {

// In the order of Dtype.
constexpr std::array<at::ScalarType, kDtypes.size()> kScalarTypes = {
    at::kBool,   at::kByte,   at::kChar,   at::kFloat8_e5m2, at::kFloat8_e4m3fn,
    at::kShort,  at::kUInt16, at::kHalf,   at::kBFloat16,    at::kInt,
    at::kUInt32, at::kFloat,  at::kDouble, at::kLong,        at::kUInt64};

}  // namespace

at::ScalarType scalar_type(Dtype dtype) { return kScalarTypes[static_cast<size_t>(dtype)]; }

std::optional<Dtype> dtype_of(at::ScalarType type) {
  const auto found = std::find(kScalarTypes.begin(), kScalarTypes.end(), type);
  if (found == kScalarTypes.end()) return std::nullopt;
  return static_cast<Dtype>(found - kScalarTypes.begin());
}

}  // namespace caprl::safetensors
