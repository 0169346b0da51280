#include "text/vocabulary.h"

#include "caprl/core/error.h"

namespace caprl {

void Vocabulary::add(const std::string& token, int64_t id, const std::string& where) {
  if (id < 0 || id >= kMaxIds)
    throw InputError("{}: expected an id from 0 to {}, got {}", where, kMaxIds - 1, id);
  const auto [place, is_new] = ids_.emplace(token, id);
  if (!is_new) {
    if (place->second != id)
      throw InputError("{}: token \"{}\" has id {}, but also id {}", where, token, id,
                       place->second);
    return;
  }
  if (const std::string* other = spelling(id)) {
    ids_.erase(place);
    throw InputError("{}: id {} belongs to \"{}\" and to \"{}\"", where, id, *other, token);
  }
  if (id >= num_ids()) spellings_.resize(static_cast<size_t>(id + 1));
  spellings_[static_cast<size_t>(id)] = &place->first;
}

void Vocabulary::add_or_rename(const std::string& token, int64_t id, const std::string& where) {
  if (const std::string* old = spelling(id); old != nullptr && !find(token)) {
    spellings_[static_cast<size_t>(id)] = nullptr;
    ids_.erase(*old);
  }
  add(token, id, where);
}

std::optional<int64_t> Vocabulary::find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace caprl
