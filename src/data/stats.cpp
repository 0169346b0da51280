#include "caprl/data/stats.h"

#include <algorithm>
#include <map>
#include <set>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/parallel.h"
#include "caprl/data/reader.h"
#include "caprl/data/rows.h"

namespace caprl {
namespace {

using json = nlohmann::ordered_json;

constexpr size_t kBlock = 256;  // rows whose images are looked at together

/// Smallest, mean and largest.
struct Spread {
  int64_t count = 0, least = 0, most = 0;
  double sum = 0;
  void add(int64_t value) {
    least = count == 0 ? value : std::min(least, value);
    most = std::max(most, value);
    sum += static_cast<double>(value);
    ++count;
  }
  json to_json() const {
    if (count == 0) return nullptr;
    return {{"min", least}, {"mean", sum / static_cast<double>(count)}, {"max", most}};
  }
};

struct ImageFacts {
  bool embedded = false, readable = false;
  int64_t bytes = 0;
  ImageSize size;
  std::string hash;
};

ImageFacts look_at(const ImageSource& source) {
  ImageFacts facts;
  facts.embedded = source.path.empty();
  try {
    const SharedBytes content = file_content(source);
    facts.bytes = static_cast<int64_t>(content.bytes.size());
    facts.hash = hash_bytes(content.bytes);
    facts.size = stored_size(content.bytes, source.name);
    facts.readable = true;
  } catch (const InputError&) {
    return facts;  // counted
  }
  return facts;
}

class Counts {
 public:
  void read(const std::string& file) {
    const auto folder = std::filesystem::absolute(file).parent_path();
    const auto reader = DataReader::open(file, RowKind::kAny);
    while (const auto place = reader->next()) {
      rows_ += place->count;
      try {
        add_row(reader->row(), *place, folder);
      } catch (const InputError&) {
        bad_rows_ += place->count;
      }
    }
    look_at_images();
  }

  json to_json() const {
    json all = {{"rows", rows_}, {"bad_rows", bad_rows_}};
    all["ids"] = {{"missing", no_id_}, {"duplicates", duplicate_ids_}};
    all["images"] = {{"embedded", embedded_},
                     {"by_path", by_path_},
                     {"missing", no_image_},
                     {"unreadable", unreadable_},
                     {"duplicates", duplicate_images_},
                     {"bytes", bytes_.to_json()},
                     {"width", width_.to_json()},
                     {"height", height_.to_json()}};
    all["questions"] = {{"total", questions_},
                        {"bad", bad_questions_},
                        {"per_row", histogram(per_row_)},
                        {"options", histogram(options_)},
                        {"answers", histogram(answers_)}};
    return all;
  }

 private:
  template <class Key>
  static json histogram(const std::map<Key, int64_t>& counts) {
    json result = json::object();
    for (const auto& [key, count] : counts) result[fmt::format("{}", key)] = count;
    return result;
  }

  void add_row(const nlohmann::json& row, const RowPlace& place,
               const std::filesystem::path& folder) {
    if (!row.is_object())
      throw InputError("{}: expected an object, got {}", place.where, row.type_name());
    add_id(row);
    add_questions(row, place.where);
    add_image(row, place, folder);
  }

  void add_id(const nlohmann::json& row) {
    const auto id = row.find("id");
    if (id == row.end() || id->is_null())
      ++no_id_;
    else
      duplicate_ids_ += !ids_.insert(id->is_string() ? id->get<std::string>() : id->dump()).second;
  }

  void add_questions(const nlohmann::json& row, const std::string& where) {
    const auto reward = row.find("reward_model");
    if (reward == row.end() || !reward->is_object()) return;
    const auto items = reward->find("ground_truth");
    if (items == reward->end() || !items->is_array()) return;
    ++per_row_[static_cast<int64_t>(items->size())];
    for (const auto& item : *items) {
      ++questions_;
      try {
        const Question question = parse_question(item, where);
        ++options_[static_cast<int64_t>(question.choices.size())];
        ++answers_[static_cast<char>('A' + question.answer)];
      } catch (const InputError&) {
        ++bad_questions_;
      }
    }
  }

  void add_image(const nlohmann::json& row, const RowPlace& place,
                 const std::filesystem::path& folder) {
    try {
      images_.push_back(image_of_row(row, place.where, folder, place.image));
    } catch (const InputError&) {
      ++no_image_;
    }
    if (images_.size() == kBlock) look_at_images();
  }

  void look_at_images() {
    std::vector<ImageFacts> facts(images_.size());
    parallel_for(0, static_cast<int64_t>(images_.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) facts[i] = look_at(images_[i]);
    });
    images_.clear();
    for (const ImageFacts& image : facts) {
      ++(image.embedded ? embedded_ : by_path_);
      if (!image.hash.empty()) duplicate_images_ += !hashes_.insert(image.hash).second;
      if (!image.readable) {
        ++unreadable_;
        continue;
      }
      bytes_.add(image.bytes);
      width_.add(image.size.width);
      height_.add(image.size.height);
    }
  }

  int64_t rows_ = 0, bad_rows_ = 0, no_id_ = 0, duplicate_ids_ = 0;
  int64_t embedded_ = 0, by_path_ = 0, no_image_ = 0, unreadable_ = 0, duplicate_images_ = 0;
  int64_t questions_ = 0, bad_questions_ = 0;
  std::set<std::string> ids_, hashes_;
  Spread bytes_, width_, height_;
  std::map<int64_t, int64_t> per_row_, options_;
  std::map<char, int64_t> answers_;
  std::vector<ImageSource> images_;
};

}  // namespace

nlohmann::ordered_json data_stats(const std::vector<std::string>& files) {
  Counts counts;
  for (const std::string& file : expand_data_files(files)) counts.read(file);
  return counts.to_json();
}

}  // namespace caprl
