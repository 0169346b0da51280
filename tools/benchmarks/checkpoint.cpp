// `tools/bench checkpoint`: how long training stands still for a checkpoint.
//   caprl-bench-checkpoint MODEL FOLDER background|blocking
// Every line on stdin asks for one round; the answer is the seconds until training could go on.
#include <future>

#include "caprl/checkpoint/checkpoint.h"
#include "caprl/train/learner.h"
#include "round_program.h"

namespace caprl {
namespace {

int program(int argc, char** argv) {
  if (argc != 4) throw Error("expected MODEL FOLDER background|blocking");
  const bool background = std::string(argv[3]) == "background";
  ModelOptions options;
  options.dtype = at::kBFloat16;
  options.train = TrainedParts::kAll;
  const Learner learner(argv[1], argv[1], options, {}, Group::alone(), {});
  int64_t step = 0;
  for (std::string line; std::getline(std::cin, line);) {
    const auto start = Clock::now();
    auto saving = std::async(background ? std::launch::async : std::launch::deferred,
                             [&, step = ++step, write = learner.snapshot(background)] {
                               save_checkpoint(argv[2], step, {.keep_last = 1}, write);
                             });
    if (!background) saving.get();
    const double seconds = seconds_since(start);
    if (background) saving.get();
    std::cout << seconds << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::program); }
