// Names, strings, numbers and signs of a Jinja expression.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

struct JinjaToken {
  enum class Kind { kEnd, kName, kString, kNumber, kSign };
  Kind kind = Kind::kEnd;
  std::string text;
};

/// Ends with a token of kind kEnd. A sign is one character, or "==" or "!=". InputError "WHERE: …"
/// for a broken string.
std::vector<JinjaToken> read_jinja_tokens(std::string_view source, const std::string& where);

}  // namespace caprl
