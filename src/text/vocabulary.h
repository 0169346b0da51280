// Tokens and their ids.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace caprl {

/// A one-to-one mapping between spellings and ids.
class Vocabulary {
 public:
  static constexpr int64_t kMaxIds = 1 << 24;

  /// InputError naming `where` if the id is outside [0, kMaxIds), or token or id is taken
  /// otherwise.
  void add(const std::string& token, int64_t id, const std::string& where);

  /// As add(), but the id may be taken: its token gets the new spelling.
  void add_or_rename(const std::string& token, int64_t id, const std::string& where);

  std::optional<int64_t> find(std::string_view token) const;
  /// Null for an id without a token.
  const std::string* spelling(int64_t id) const {
    return id >= 0 && id < num_ids() ? spellings_[static_cast<size_t>(id)] : nullptr;
  }
  /// 1 + the highest id.
  int64_t num_ids() const { return static_cast<int64_t>(spellings_.size()); }
  const auto& tokens() const { return ids_; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view token) const { return std::hash<std::string_view>()(token); }
  };

  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> ids_;
  std::vector<const std::string*> spellings_;  // keys of ids_, which stay where they are
};

}  // namespace caprl
