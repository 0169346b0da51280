// A file of the demonstration's data.
#pragma once
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

namespace caprl::demo {

/// Written once, from its beginning. Error, with the system's reason, if that fails.
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path);
  void write(std::string_view bytes);
  void line(const nlohmann::ordered_json& value);
  void close();

 private:
  void check() const;

  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace caprl::demo
