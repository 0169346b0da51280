#include "caprl/text/token_lines.h"

#include <string>

#include "caprl/core/error.h"
#include "caprl/io/json.h"

namespace caprl {
namespace {

using nlohmann::json;

/// Calls `convert(line's JSON, where)` for each line and writes what it returns as a line of JSON.
template <class Convert>
void convert_lines(std::istream& in, std::string_view name, std::ostream& out, Convert convert) {
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    const std::string where = fmt::format("{}:{}", name, number);
    out << convert(parse_json(line, where), where).dump() << '\n';
  }
  if (in.bad()) throw Error("{}: reading failed", name);
  if (!out.flush()) throw Error("writing the results failed");
}

}  // namespace

void encode_lines(const Tokenizer& tokenizer, std::istream& in, std::string_view name,
                  std::ostream& out) {
  convert_lines(in, name, out, [&](const json& line, const std::string& where) -> json {
    if (!line.is_string())
      throw InputError("{}: expected a JSON string, got {}", where, line.type_name());
    return tokenizer.encode(line.get_ref<const std::string&>(), true);
  });
}

void decode_lines(const Tokenizer& tokenizer, std::istream& in, std::string_view name,
                  std::ostream& out) {
  convert_lines(in, name, out, [&](const json& line, const std::string& where) -> json {
    if (!line.is_array())
      throw InputError("{}: expected a JSON array of ids, got {}", where, line.type_name());
    std::vector<int64_t> ids;
    for (const json& value : line) {
      const bool is_id = value.is_number_unsigned() &&
                         value.get<uint64_t>() < static_cast<uint64_t>(tokenizer.vocab_size());
      if (!is_id)
        throw InputError("{}: expected ids from 0 to {}, got {}", where, tokenizer.vocab_size() - 1,
                         value.dump());
      ids.push_back(value.get<int64_t>());
    }
    return tokenizer.decode(ids, false);
  });
}

}  // namespace caprl
