// Images made small enough for a page.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace caprl {

/// What a page shows of an image, or why it shows nothing.
struct Thumbnail {
  std::optional<size_t> index;  // into Thumbnails::uris()
  std::string why;              // a sentence, without an index
};

/// Reads each file once.
class Thumbnails {
 public:
  const Thumbnail& of(const std::filesystem::path& file);

  /// "data:image/jpeg;base64,…"
  const nlohmann::json& uris() const { return uris_; }
  int64_t bytes() const { return bytes_; }  // of all uris

 private:
  std::map<std::filesystem::path, Thumbnail> known_;
  nlohmann::json uris_ = nlohmann::json::array();
  int64_t bytes_ = 0;
};

}  // namespace caprl
