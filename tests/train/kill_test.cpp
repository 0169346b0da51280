// SIGKILL at any moment of a run, saves included, costs nothing but the steps since the last
// checkpoint: the same command goes on to the same bytes.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "caprl/core/config.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using Clock = std::chrono::steady_clock;

class KilledRun : public TinyRun {
 protected:
  static pid_t start(const std::string& config_file) {
    const pid_t child = ::fork();
    if (child == 0) {
      const int null = ::open("/dev/null", O_WRONLY);
      ::dup2(null, STDERR_FILENO);
      ::execl(CAPRL_BIN_DIR "/caprl-train", "caprl-train", "--config", config_file.c_str(),
              nullptr);
      ::_exit(127);
    }
    return child;
  }

  static std::string write_config(const GrpoConfig& config, const std::string& name) {
    const std::string file = path(name + ".yaml");
    write_file_atomic(file, config_to_yaml(config));
    return file;
  }

  /// Runs until the process ends (its exit code) or `stop` says that it must die (−1).
  static int run_until(const std::string& config_file, const std::function<bool()>& stop) {
    const pid_t child = start(config_file);
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) {
      if (stop()) {
        ::kill(child, SIGKILL);
        ::waitpid(child, &status, 0);
        break;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  /// The names in the run's folder of checkpoints, at this moment.
  static std::set<std::string> checkpoints(const std::string& run) {
    std::set<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder_ / run / "checkpoints", error), end;
         !error && at != end; at.increment(error))
      names.insert(at->path().filename().string());
    return names;
  }

  /// Whether a checkpoint is being written or removed just now.
  static bool is_saving(const std::string& run) {
    return std::ranges::any_of(checkpoints(run), [](auto& name) { return name.starts_with('.'); });
  }

  /// Whether a checkpoint is there that was not among `before`.
  static bool has_saved(const std::string& run, const std::set<std::string>& before) {
    return std::ranges::any_of(checkpoints(run), [&](auto& name) {
      return name.starts_with("step_") && !before.contains(name);
    });
  }
};

TEST_F(KilledRun, GoesOnToTheSameBytes) {
  GrpoConfig config = grpo("unharmed", 10);
  config.checkpoint.save_freq = 1;
  config.eval.freq = 4;
  ASSERT_EQ(run_until(write_config(config, "unharmed"), [] { return false; }), 0);

  config.run.dir = path("killed");
  const std::string file = write_config(config, "killed");
  int kills = 0, kills_while_saving = 0, code = -1;
  for (int attempt = 0; attempt < 100 && code == -1; ++attempt) {
    // Every other time some milliseconds into a save, otherwise some milliseconds after one. No
    // attempt gets further than a few steps, however fast the machine.
    const bool while_saving = attempt % 2 == 0;
    const auto delay = std::chrono::milliseconds(while_saving ? attempt % 7 : 23 * attempt % 120);
    const auto before = checkpoints("killed");
    std::optional<Clock::time_point> moment;
    code = run_until(file, [&] {
      if (!moment && (while_saving ? is_saving("killed") : has_saved("killed", before)))
        moment = Clock::now() + delay;
      return moment && Clock::now() >= *moment;
    });
    kills += code == -1;
    kills_while_saving += code == -1 && is_saving("killed");
  }
  EXPECT_EQ(code, 0);
  EXPECT_GE(kills, 3);
  EXPECT_GE(kills_while_saving, 1);
  expect_same_run("unharmed", "killed");
}

}  // namespace
}  // namespace caprl
