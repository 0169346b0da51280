// Golden files and temporary model directories for the tests of text.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/json.h"

namespace caprl {

inline std::filesystem::path text_data(std::string_view name) {
  return std::filesystem::path(CAPRL_TEST_FILES) / "text" / name;
}

/// A directory that is removed with its contents.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "caprl_text_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw Error("cannot make {}", name);
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  ~TempDir() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }
  void write(std::string_view file, std::string_view content) const {
    write_file_atomic(path_ / file, content);
  }

 private:
  std::filesystem::path path_;
};

/// The message of the InputError that `action` must throw.
template <class Action>
std::string input_error(Action action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no InputError was thrown";
}

}  // namespace caprl
