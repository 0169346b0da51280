// A data file that is one JSON array of rows, as LLaVA's are.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>

#include "caprl/data/reader.h"

namespace caprl {

/// Whether the file's first character, blanks aside, is "[". False for what cannot be read.
bool is_json_array(const std::filesystem::path& file);

/// Element by element, of which one is in memory at a time. Rows are counted from 0.
class JsonArrayRows : public DataReader {
 public:
  explicit JsonArrayRows(const std::filesystem::path& file);
  std::optional<RowPlace> next() override;
  nlohmann::json row() override;

 private:
  /// The next character, 0 at the end of the file; peek() leaves it.
  char take();
  char peek();
  char after_blanks();
  void take_element();
  std::string where() const;
  [[noreturn]] void fail(const std::string& got) const;

  std::string name_;
  std::ifstream stream_;
  std::string piece_;
  size_t place_ = 0;  // in the piece
  int64_t index_ = -1;
  std::string text_;  // of the element
};

}  // namespace caprl
