// Streams of lines through a tokenizer, in both directions.
#pragma once
#include <istream>
#include <ostream>
#include <string_view>

#include "caprl/text/tokenizer.h"

namespace caprl {

/// Each line of `in` is a JSON string; each line of `out` is the JSON array of its ids. Added
/// tokens are recognised, none is added. InputError "NAME:LINE: …" for a line that is no JSON
/// string.
void encode_lines(const Tokenizer& tokenizer, std::istream& in, std::string_view name,
                  std::ostream& out);

/// The reverse: JSON arrays of ids in, JSON strings out, special tokens kept. InputError
/// "NAME:LINE: …" for a line that is no array of integers, and for an id that no token can have:
/// negative, or `vocab_size` and more.
void decode_lines(const Tokenizer& tokenizer, std::istream& in, std::string_view name,
                  std::ostream& out);

}  // namespace caprl
