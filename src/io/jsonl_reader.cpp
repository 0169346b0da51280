#include <string>
#include <string_view>

#include "byte_source.h"
#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "caprl/io/jsonl.h"

namespace caprl {

struct JsonlReader::Source {
  Source(const std::filesystem::path& path, int64_t max_bytes)
      : name(path.string()), max_line_bytes(static_cast<size_t>(max_bytes)), bytes(path) {}

  /// The next line without its end, valid until the next call; false at the end of the file. An
  /// overlong line is passed over up to its end before the InputError.
  bool next_line(std::string_view& line);

  std::string name;
  size_t max_line_bytes;
  ByteSource bytes;
  std::string buffer;
  size_t consumed = 0;  // of the buffer
  int64_t line_number = 0;
  bool any_value = false;
  bool at_end = false;
};

bool JsonlReader::Source::next_line(std::string_view& line) {
  ++line_number;
  buffer.erase(0, consumed);
  consumed = 0;
  size_t searched = 0;
  bool overlong = false;
  size_t end;
  while ((end = buffer.find('\n', searched)) == std::string::npos && !at_end) {
    if (buffer.size() > max_line_bytes) {
      overlong = true;
      buffer.clear();
    }
    searched = buffer.size();
    at_end = !bytes.read(buffer);
  }
  const bool has_line = end != std::string::npos || overlong || !buffer.empty();
  const size_t length = end == std::string::npos ? buffer.size() : end;
  consumed = end == std::string::npos ? length : length + 1;
  if (overlong || length > max_line_bytes) {
    any_value = true;
    throw InputError("{}:{}: expected a line of at most {} bytes, got a longer one", name,
                     line_number, max_line_bytes);
  }
  line = std::string_view(buffer).substr(0, length);
  return has_line;
}

JsonlReader::JsonlReader(const std::filesystem::path& path, int64_t max_line_bytes)
    : source_(std::make_unique<Source>(path, max_line_bytes)) {}
JsonlReader::~JsonlReader() = default;

std::optional<TextLine> JsonlReader::next_text() {
  Source& source = *source_;
  std::string_view line;
  while (source.next_line(line)) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    source.any_value = true;
    return TextLine{source.line_number, fmt::format("{}:{}", source.name, source.line_number),
                    line};
  }
  if (!source.any_value) throw InputError("{}: expected lines of JSON, got none", source.name);
  return std::nullopt;
}

std::optional<JsonLine> JsonlReader::next() {
  const auto line = next_text();
  if (!line) return std::nullopt;
  return JsonLine{line->number, parse_json(line->text, line->where)};
}

}  // namespace caprl
