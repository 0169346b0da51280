#include "text/symbols.h"

#include <algorithm>

#include "text/unicode_text.h"

namespace caprl {

void Symbols::append(std::string_view word, std::vector<int32_t>& ids) const {
  bool is_open = false;  // an unknown symbol that may take its neighbour in
  while (!word.empty()) {
    const std::string_view symbol = word.substr(0, byte_level ? 1 : utf8_length(word.front()));
    word.remove_prefix(symbol.size());
    const auto byte_id = [&](char byte) { return bytes[static_cast<uint8_t>(byte)]; };
    const auto has_id = [&](char byte) { return byte_id(byte) >= 0; };
    if (!byte_level) {
      if (const auto known = characters.find(std::string(symbol)); known != characters.end()) {
        ids.push_back(known->second);
        is_open = false;
        continue;
      }
    }
    if (std::all_of(symbol.begin(), symbol.end(), has_id)) {
      std::transform(symbol.begin(), symbol.end(), std::back_inserter(ids), byte_id);
      is_open = false;
    } else if (unknown) {
      if (!(is_open && fuse_unknown)) ids.push_back(*unknown);
      is_open = true;
    }
  }
}

}  // namespace caprl
