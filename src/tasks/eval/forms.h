// The forms of benchmark files. Each is a small function from a published row to items of the
// generic form; docs/EVAL.md says what each was checked against.
#pragma once
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "caprl/data/reader.h"

namespace caprl {

struct FileSource;

/// What encloses the rows of a file.
enum class Layout {
  kRows,       // lines of JSON, one list, or Parquet
  kData,       // {"data": [rows]}
  kQuestions,  // {"questions": [rows]}
  kValues,     // {"key": row, …}
  kTable       // tab-separated values, the first line names the columns
};

struct Form {
  std::string_view name;
  std::string_view benchmark;  // empty: the file's name
  Layout layout;
  /// InputError without a place. A row of something else (a video) has no items.
  std::vector<nlohmann::json> (*items)(const nlohmann::json& row, const FileSource& source);
};

/// Null if there is none of that name.
const Form* find_form(std::string_view name);

/// "chartqa:data/test.json" → {chartqa, "data/test.json"}; without a form's name: the generic one.
/// InputError for an unknown name before a colon.
std::pair<const Form*, std::string> split_form(const std::string& file);

/// A file of a benchmark.
struct FileSource {
  /// `image_folder`: where images are; empty: beside the file.
  FileSource(const Form* form, const std::string& file, const std::string& image_folder);
  const Form* form;
  std::filesystem::path path, folder;  // folder: of the images
  std::string benchmark;

  /// The first of these below `folder` that exists; the first one if none does.
  std::string image(const std::vector<std::string>& names) const;
};

/// The files that "PATH" and "FORM:PATH" name, patterns among them. InputError for an unknown form,
/// and for a pattern that matches none.
std::vector<FileSource> file_sources(const std::vector<std::string>& names,
                                     const std::string& image_folder);

/// use(place, make) for every row; make() gives its items or an InputError about them, and the
/// place their image where the file keeps it apart. InputError if the file cannot be read or is
/// malformed as a whole.
void read_file_items(
    const FileSource& source,
    const std::function<void(const RowPlace& place,
                             const std::function<std::vector<nlohmann::json>()>& make)>& use);

}  // namespace caprl
