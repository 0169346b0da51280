// A stage of question curation: each item once, in order, a batch at a time, over all ranks.
#pragma once
#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/core/queue.h"
#include "caprl/dist/world.h"
#include "caprl/io/jsonl.h"
#include "caprl/tasks/qa.h"
#include "tasks/inputs/inputs.h"
#include "tasks/item_progress.h"
#include "tasks/records.h"

namespace caprl {

/// What all stages work on.
struct QaRun {
  const QaConfig& config;
  World& world;
  const Inputs& inputs;
  at::Device device;
  std::filesystem::path dir() const { return config.run.dir; }
};

template <class Prepared>
struct StageItem {
  InputItem input;
  std::string error;  // why it is not prepared
  Prepared prepared;
};

/// {"index", "id"}, and "error" if there is one.
template <class Prepared>
nlohmann::json stage_line(const StageItem<Prepared>& item) {
  nlohmann::json line = {{"index", item.input.index}, {"id", item.input.row.id}};
  if (!item.error.empty()) line["error"] = item.error;
  return line;
}

template <class Prepared>
struct Stage {
  std::string stem;    // of its records
  std::string before;  // of those of the stage before; empty: none
  /// From an item and its record before (null without one); on a thread of its own. InputError if
  /// it cannot be used.
  std::function<Prepared(const InputItem&, const nlohmann::json&)> prepare;
  /// The items' lines, in their order.
  std::function<std::vector<nlohmann::json>(std::span<StageItem<Prepared>>)> work;
};

/// The items of this rank that have no line yet.
class StageItems {
 public:
  StageItems(const QaRun& run, const std::string& stem);
  bool is_mine(int64_t index) const;
  int64_t size() const { return size_; }
  int64_t num_done() const { return done_.size(); }

 private:
  const QaRun& run_;
  IndexSet done_;
  int64_t size_ = 0;
};

template <class Prepared>
StageItem<Prepared> prepare_item(const Stage<Prepared>& stage, const QaRun& run, InputItem input,
                                 RecordMerge* before) {
  StageItem<Prepared> item{std::move(input), {}, {}};
  const auto record = before ? before->find(item.input.index) : std::nullopt;
  if (before && !record)
    throw Error("{}: item {} is missing in {}*.jsonl", run.dir().string(), item.input.index,
                stage.before);
  if (record && record->value.contains("error")) {
    item.error = record->value["error"].template get<std::string>();
    return item;
  }
  try {
    if (!item.input.error.empty()) throw InputError("{}", item.input.error);
    item.prepared = stage.prepare(item.input, record ? record->value : nlohmann::json());
  } catch (const InputError& error) {
    if (run.config.data.bad_rows == BadRows::kStop) throw;
    log_warning("item left out: {}", error.what());
    item.error = error.what();
  }
  return item;
}

/// All ranks call it; it ends when all have done their items. Images are read while others are
/// worked on.
template <class Prepared>
void run_stage(const QaRun& run, const StageItems& todo, const Stage<Prepared>& stage) {
  const int64_t total = todo.size(), batch = run.config.data.batch_items;
  if (total == 0) return;
  std::optional<RecordMerge> before;
  if (!stage.before.empty())
    before.emplace(records_files(run.dir(), stage.before), run.inputs.size());
  InputStream stream(run.inputs);
  const auto pull = [&](int64_t) {
    auto input = stream.next([&](int64_t index) { return todo.is_mine(index); });
    if (!input) throw InputError("{}: the data has changed beneath the run", run.dir().string());
    return prepare_item(stage, run, *std::move(input), before ? &*before : nullptr);
  };
  const Group& group = run.world.group();
  JsonlAppender output(records_file(run.dir(), stage.stem, group.rank(), group.size()));
  PrefetchQueue<StageItem<Prepared>> queue(pull, 0, total, static_cast<size_t>(batch));
  ItemProgress progress(total);
  for (int64_t begin = 0; begin < total; begin += batch) {
    const int64_t end = std::min(total, begin + batch);
    run.world.at(
        fmt::format("{}: items {} to {} of this rank's {}", stage.stem, begin, end, total));
    std::vector<StageItem<Prepared>> items;
    for (int64_t i = begin; i < end; ++i) items.push_back(*queue.next());
    for (const nlohmann::json& line : stage.work(items)) output.append(line);
    progress.update(end, {});
  }
}

}  // namespace caprl
