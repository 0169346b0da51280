// Files of one JSON value a line.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace caprl {

struct JsonLine {
  int64_t number;  // 1 is the file's first line
  nlohmann::json value;
};

/// A line that is not parsed yet.
struct TextLine {
  int64_t number;
  std::string where;      // "FILE:LINE"
  std::string_view text;  // valid until the next call of the reader
};

/// Reads line by line, plain or zstd-compressed (told by content). Blank lines are passed over. Not
/// thread safe.
class JsonlReader {
 public:
  static constexpr int64_t kDefaultMaxLineBytes = int64_t{1} << 28;

  /// InputError if the file cannot be read.
  explicit JsonlReader(const std::filesystem::path& path,
                       int64_t max_line_bytes = kDefaultMaxLineBytes);
  ~JsonlReader();

  /// The next line, nothing at the end. InputError "FILE:LINE: …" for what parse_json refuses; the
  /// following call goes on with the following line. InputErrors of the file itself: it cannot be
  /// read on, a line is above the limit, it ended without a single value.
  std::optional<JsonLine> next();
  /// The same without the parsing: every InputError is one of the file itself.
  std::optional<TextLine> next_text();

 private:
  struct Source;
  std::unique_ptr<Source> source_;
};

/// Appends lines to a file, one system call a line. What a crash left of a last line is cut off
/// when the file is opened. Not thread safe.
class JsonlAppender {
 public:
  /// Creates the file if need be. Error naming the path.
  explicit JsonlAppender(std::filesystem::path path);
  ~JsonlAppender();
  JsonlAppender(const JsonlAppender&) = delete;
  JsonlAppender& operator=(const JsonlAppender&) = delete;

  /// Error if the value is no valid UTF-8 or cannot be written.
  void append(const nlohmann::json& value);
  int64_t size() const { return size_; }  // of the file in bytes

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  int64_t size_ = 0;
};

/// Writes all lines as one zstd frame with a checksum, atomically; creates the folder. Error naming
/// the path.
void write_jsonl_zst(const std::filesystem::path& path, std::span<const nlohmann::json> lines);
/// The same of line(0) … line(count − 1), which is called on several threads.
void write_jsonl_zst(const std::filesystem::path& path, int64_t count,
                     const std::function<nlohmann::json(int64_t)>& line);

}  // namespace caprl
