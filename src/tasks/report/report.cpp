#include "caprl/tasks/report.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"
#include "caprl/core/version.h"
#include "tasks/report/page.h"
#include "tasks/report/run_config.h"
#include "tasks/report/run_metrics.h"
#include "tasks/report/run_rollouts.h"
#include "tasks/report/thumbnails.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The whole page stays below 5 MB: curves take what they need, captions what is left of it.
constexpr int64_t kMaxDataBytes = 4'500'000, kMinCaptionBytes = 500'000;
constexpr double kHeldOutShare = 0.35;  // of the captions' bytes

fs::path out_of(const ReportOptions& options) {
  return options.out.empty() ? options.run / "report.html" : options.out;
}

/// Before any work is done.
void check_place(const fs::path& out) {
  if (fs::is_directory(out))
    throw InputError("{}: expected a file's name for the page, got a folder", out.string());
  const fs::path folder = out.has_parent_path() ? out.parent_path() : ".";
  if (::faccessat(AT_FDCWD, folder.c_str(), W_OK, AT_EACCESS) != 0)
    throw InputError("the page cannot be written to {}: {}; name another place by --out FILE",
                     folder.string(), std::strerror(errno));
}

std::string now() {
  const std::time_t time = std::time(nullptr);
  char text[32];
  std::tm parts;
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", gmtime_r(&time, &parts));
  return text;
}

struct Run {
  json data;
  int64_t last_step = 0;
  bool complete = false;
};

Run read_run(const fs::path& folder) {
  const RunMetrics metrics = read_metrics(folder);
  const RunConfigText config = read_run_config(folder);
  const fs::path whole = fs::weakly_canonical(folder);
  Run run;
  run.last_step = metrics.last_step();
  const auto total = config.total_steps();
  run.complete = total && run.last_step >= *total;
  run.data = {{"name", whole.filename().string()},
              {"folder", whole.string()},
              {"config", config.values},
              {"total_steps", total ? json(*total) : json()},
              {"steps", metrics.steps},
              {"metrics", metrics.columns},
              {"notes", metrics.notes}};
  for (const std::string& note : config.notes) run.data["notes"].push_back(note);
  return run;
}

/// Captions of training and of evaluations into `data`.
void add_captions(const fs::path& folder, Run& run, json& data) {
  const int64_t room = std::max(kMinCaptionBytes, kMaxDataBytes - size_of(data));
  Thumbnails images;
  const auto add = [&](const char* kind, int64_t max_bytes, bool same_images) {
    const RolloutSample sample =
        sample_rollouts(folder / kind, run.last_step, max_bytes, same_images, images);
    for (const std::string& note : sample.notes) data["runs"][0]["notes"].push_back(note);
    data["captions"][kind] = {{"groups", sample.groups}, {"num_steps", sample.num_steps}};
    return size_of(sample.groups) + images.bytes();
  };
  const auto held_out = static_cast<int64_t>(kHeldOutShare * static_cast<double>(room));
  const int64_t used = add("eval", held_out, true);
  add("rollouts", room - used, false);
  data["images"] = images.uris();
}

/// Writes the page; `live`: it loads itself again until the run is complete.
Run write_page(const ReportOptions& options, bool live) {
  const fs::path out = out_of(options);
  Run run = read_run(options.run);
  json data = {{"version", version()}, {"written", now()}, {"runs", json::array({run.data})}};
  data["live"] = live && !run.complete;
  if (!options.compare.empty()) data["runs"].push_back(read_run(options.compare).data);
  add_captions(options.run, run, data);
  write_file_atomic(out, make_page(data));
  return run;
}

/// Changes with every line that a run writes.
std::string state_of(const fs::path& run) {
  std::error_code none;
  const fs::path file = run / "metrics.jsonl";
  const auto size = fs::file_size(file, none);
  const auto time = fs::last_write_time(file, none);
  return fmt::format("{} {}", size, time.time_since_epoch().count());
}

/// The folder is there, but no step is done: models are being loaded.
bool is_starting(const fs::path& run) {
  return fs::is_directory(run) && !fs::exists(run / "metrics.jsonl");
}

}  // namespace

fs::path write_report(const ReportOptions& options) {
  check_place(out_of(options));
  write_page(options, false);
  return out_of(options);
}

void follow_report(const ReportOptions& options, const std::function<bool()>& stopped,
                   std::chrono::milliseconds pause) {
  constexpr std::chrono::milliseconds kGlance(50);
  check_place(out_of(options));
  if (is_starting(options.run)) log_info("{}: waiting for its first step", options.run.string());
  while (!stopped() && is_starting(options.run)) std::this_thread::sleep_for(kGlance);
  std::string written;
  while (!stopped()) {
    if (const std::string state = state_of(options.run); state != written) {
      const Run run = write_page(options, true);
      written = state;
      log_info("{}: step {}", out_of(options).string(), run.last_step);
      if (run.complete) return;
    }
    for (auto waited = kGlance * 0; waited < pause && !stopped(); waited += kGlance)
      std::this_thread::sleep_for(kGlance);
  }
  if (!written.empty()) write_page(options, false);
}

}  // namespace caprl
