// Cuts a Jinja template into text, {{ expressions }} and {% statements %}.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

struct JinjaPiece {
  enum class Kind { kText, kExpression, kStatement };
  Kind kind = Kind::kText;
  std::string content;  // of a tag: what is inside, trimmed
};

/// White space as Hugging Face renders it: trim_blocks, lstrip_blocks, one newline at the
/// template's end dropped, `-` and `+` in tags. InputError "WHERE: …" for a tag without an end.
std::vector<JinjaPiece> lex_jinja(std::string_view source, const std::string& where);

}  // namespace caprl
