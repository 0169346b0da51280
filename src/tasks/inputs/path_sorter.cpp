#include "tasks/inputs/path_sorter.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <queue>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/pulse.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;

void check(const std::ios& stream, const fs::path& file, const char* what) {
  if (!stream) throw Error("{}: cannot {}", file.string(), what);
}

}  // namespace

PathSorter::PathSorter(fs::path scratch, size_t memory_bytes)
    : scratch_(std::move(scratch)), memory_bytes_(memory_bytes) {}

PathSorter::~PathSorter() {
  std::error_code ignored;
  for (const auto& file : spilled_) fs::remove(file, ignored);
}

void PathSorter::add(std::string path) {
  pulse();
  held_bytes_ += path.size() + sizeof(std::string);
  held_.push_back(std::move(path));
  if (held_bytes_ > memory_bytes_) spill();
}

void PathSorter::spill() {
  std::sort(held_.begin(), held_.end());
  spilled_.push_back(unfinished_path(fmt::format("{}.{}", scratch_.string(), spilled_.size())));
  std::ofstream out(spilled_.back(), std::ios::binary | std::ios::trunc);
  for (const std::string& path : held_) out << path << '\0';
  out.close();
  check(out, spilled_.back(), "write");
  held_.clear();
  held_bytes_ = 0;
}

int64_t PathSorter::append_to(const fs::path& file) {
  std::ofstream out(file, std::ios::binary | std::ios::app);
  int64_t count = 0;
  const auto write = [&](const std::string& path) {
    pulse();
    out << path << '\0';
    ++count;
  };
  if (spilled_.empty()) {
    std::sort(held_.begin(), held_.end());
    for (const std::string& path : held_) write(path);
  } else {
    spill();
    std::vector<std::ifstream> runs;
    for (const auto& run : spilled_) runs.emplace_back(run, std::ios::binary);
    using Head = std::pair<std::string, size_t>;  // a run's next path
    std::priority_queue<Head, std::vector<Head>, std::greater<>> heads;
    const auto take = [&](size_t run) {
      std::string path;
      if (std::getline(runs[run], path, '\0')) heads.emplace(std::move(path), run);
    };
    for (size_t run = 0; run < runs.size(); ++run) {
      check(runs[run], spilled_[run], "read");
      take(run);
    }
    while (!heads.empty()) {
      const auto [path, run] = heads.top();
      heads.pop();
      write(path);
      take(run);
    }
  }
  out.close();
  check(out, file, "write");
  return count;
}

}  // namespace caprl
