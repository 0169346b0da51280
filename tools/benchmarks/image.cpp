// The caprl side of `tools/bench image`: encoded files in memory → patches.
//   caprl-bench-image MODEL_DIR THREADS FILE…
// Every line on stdin asks for one round over all files; the answer is its seconds.
#include <atomic>
#include <thread>

#include "caprl/core/files.h"
#include "caprl/image/image.h"
#include "round_program.h"

namespace caprl {
namespace {

void one_round(const std::vector<std::string>& files, const PatchConfig& config, int threads) {
  std::atomic<size_t> next = 0;
  std::atomic<int64_t> rows = 0;
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < threads; ++i)
      workers.emplace_back([&] {
        for (size_t f; (f = next++) < files.size();)
          rows += make_patches(decode_image(std::as_bytes(std::span(files[f])), "image"), config)
                      .rows();
      });
  }
  if (rows == 0) throw Error("no patches");
}

int bench(int argc, char** argv) {
  if (argc < 4) throw InputError("usage: caprl-bench-image MODEL_DIR THREADS FILE…");
  const PatchConfig config = PatchConfig::load(argv[1]);
  const int threads = std::stoi(argv[2]);
  std::vector<std::string> files;
  for (int i = 3; i < argc; ++i) files.push_back(read_file(argv[i]));
  answer_rounds([&] { one_round(files, config, threads); });
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::bench); }
