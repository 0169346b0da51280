#include "tasks/report/run_rollouts.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "caprl/core/error.h"
#include "caprl/io/jsonl.h"
#include "tasks/report/caption_group.h"
#include "tasks/report/page.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kWantedSteps = 32, kMaxGroupsOfStep = 8;
constexpr size_t kMaxNotes = 3;

/// "step_000120.jsonl.zst"
std::optional<int64_t> step_of(const std::string& name) {
  constexpr std::string_view kBegin = "step_", kEnd = ".jsonl.zst";
  if (!name.starts_with(kBegin) || !name.ends_with(kEnd)) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size() - kEnd.size();
  const auto [rest, error] = std::from_chars(name.data() + kBegin.size(), end, step);
  if (error != std::errc() || rest != end) return std::nullopt;
  return step;
}

std::vector<fs::path> step_files(const fs::path& folder, int64_t last_step) {
  std::map<int64_t, fs::path> files;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (const auto step = step_of(entry.path().filename().string()); step && *step <= last_step)
      files[*step] = entry.path();
  std::vector<fs::path> sorted;
  for (auto& [step, file] : files) sorted.push_back(std::move(file));
  return sorted;
}

/// 0, count − 1, the middle, the quarters, …: any beginning of it is spread evenly.
std::vector<size_t> spread(size_t count) {
  std::vector<size_t> order;
  std::vector<bool> taken(count);
  const auto take = [&](size_t i) {
    if (!taken[i]) order.push_back(i);
    taken[i] = true;
  };
  if (count == 0) return order;
  take(0);
  take(count - 1);
  for (size_t parts = 2; order.size() < count; parts *= 2)
    for (size_t i = 1; i < parts; i += 2) take((count - 1) * i / parts);
  return order;
}

/// The records of a file, group by group.
class GroupReader {
 public:
  explicit GroupReader(const fs::path& file) : lines_(file) {}

  /// Nothing at the end.
  std::vector<json> next() {
    std::vector<json> records;
    while (!next_ || records.empty() || same_group(records.front(), *next_)) {
      if (next_) records.push_back(std::move(*next_));
      next_.reset();
      auto line = lines_.next();
      if (!line) break;
      next_ = std::move(line->value);
    }
    return records;
  }

 private:
  static bool same_group(const json& one, const json& other) {
    return one.at("prompt_id") == other.at("prompt_id");
  }

  JsonlReader lines_;
  std::optional<json> next_;
};

/// Groups until there is no more room.
class Collector {
 public:
  /// `steps_of_image`: how many steps show the same image.
  Collector(int64_t max_bytes, int64_t steps_of_image, Thumbnails& images)
      : left_(max_bytes),
        most_of_group_(max_bytes / 8),
        steps_of_image_(steps_of_image),
        images_(images) {}

  /// False: the page is full.
  bool add_file(const fs::path& file, RolloutSample& sample) {
    GroupReader reader(file);
    for (int64_t i = 0; i < groups_of_step_; ++i) {
      const auto records = reader.next();
      if (records.empty()) break;
      const int64_t images_before = images_.bytes();
      json group = describe_group(records, images_);
      int64_t bytes = size_of(group);
      if (bytes > most_of_group_) {
        leave_out_tokens(group);
        bytes = size_of(group);
      }
      const int64_t image_bytes = images_.bytes() - images_before;
      if (!plan_made_) plan(bytes + image_bytes / steps_of_image_);
      left_ -= bytes + image_bytes;
      if (left_ < 0 && !sample.groups.empty()) return false;
      sample.groups.push_back(std::move(group));
    }
    return true;
  }

 private:
  /// As many groups of a step as leave room for some tens of steps.
  void plan(int64_t bytes_of_group) {
    plan_made_ = true;
    groups_of_step_ = std::clamp<int64_t>(
        left_ / (kWantedSteps * std::max<int64_t>(1, bytes_of_group)), 1, kMaxGroupsOfStep);
  }

  int64_t left_, most_of_group_, steps_of_image_;
  int64_t groups_of_step_ = kMaxGroupsOfStep;
  bool plan_made_ = false;
  Thumbnails& images_;
};

void add_note(const fs::path& file, const std::string& reason, std::vector<std::string>& notes) {
  const std::string name = (file.parent_path().filename() / file.filename()).string();
  if (notes.size() < kMaxNotes)
    notes.push_back(fmt::format("{} cannot be shown: {}", name, reason));
  else if (notes.size() == kMaxNotes)
    notes.push_back("Further files cannot be shown either.");
}

}  // namespace

RolloutSample sample_rollouts(const fs::path& folder, int64_t last_step, int64_t max_bytes,
                              bool same_images, Thumbnails& images) {
  RolloutSample sample;
  const auto files = step_files(folder, last_step);
  sample.num_steps = std::ssize(files);
  Collector collector(max_bytes, same_images ? std::max<int64_t>(1, std::ssize(files)) : 1, images);
  for (const size_t i : spread(files.size())) {
    try {
      if (!collector.add_file(files[i], sample)) break;
    } catch (const Error& error) {
      add_note(files[i], error.what(), sample.notes);
    } catch (const json::exception& error) {
      add_note(files[i], fmt::format("it has another form ({})", error.what()), sample.notes);
    }
  }
  std::stable_sort(sample.groups.begin(), sample.groups.end(), [](const json& a, const json& b) {
    return a.at("step").get<int64_t>() < b.at("step").get<int64_t>();
  });
  return sample;
}

}  // namespace caprl
