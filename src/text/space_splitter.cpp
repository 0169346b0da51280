#include "text/space_splitter.h"

#include <unicode/utf8.h>

#include <algorithm>

namespace caprl {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

char32_t code_point_before(std::string_view text, size_t end) {
  auto at = static_cast<int32_t>(end);
  UChar32 code_point = 0;
  U8_PREV(text.data(), 0, at, code_point);
  return static_cast<char32_t>(code_point);
}

}  // namespace

void SpaceSplitter::add_token(std::string_view token) {
  for (size_t at = token.find(kSpace, 1); at < token.size(); at = token.find(kSpace, at + 1))
    joined_.push_back(code_point_before(token, at));
}

void SpaceSplitter::finish() {
  std::sort(joined_.begin(), joined_.end());
  joined_.erase(std::unique(joined_.begin(), joined_.end()), joined_.end());
}

bool SpaceSplitter::can_cut_after(char32_t code_point) const {
  return !std::binary_search(joined_.begin(), joined_.end(), code_point);
}

void SpaceSplitter::split(std::string_view text,
                          const std::function<void(std::string_view)>& word) const {
  size_t start = 0;
  for (size_t at = text.find(kSpace, 1); at < text.size();
       at = text.find(kSpace, at + kSpace.size())) {
    if (!can_cut_after(code_point_before(text, at))) continue;
    word(text.substr(start, at - start));
    start = at;
  }
  if (start < text.size()) word(text.substr(start));
}

}  // namespace caprl
