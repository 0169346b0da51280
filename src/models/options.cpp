#include "caprl/core/error.h"
#include "caprl/models/model.h"

namespace caprl {

at::ScalarType parse_dtype(std::string_view name, std::string_view where) {
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float64") return at::kDouble;
  throw InputError("{}: expected float32, bfloat16 or float64, got '{}'", where, name);
}

}  // namespace caprl
