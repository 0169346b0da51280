// The caprl side of `tools/bench image`: encoded files in memory → patches.
//   caprl-bench-image MODEL_DIR THREADS FILE…
// Every line on stdin asks for one round over all files; the answer is its seconds.
#include <atomic>
#include <chrono>
#include <iostream>
#include <thread>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/image/image.h"

namespace caprl {
namespace {

double one_round(const std::vector<std::string>& files, const PatchConfig& config, int threads) {
  const auto begin = std::chrono::steady_clock::now();
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
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

int bench(int argc, char** argv) {
  if (argc < 4) throw InputError("usage: caprl-bench-image MODEL_DIR THREADS FILE…");
  const PatchConfig config = PatchConfig::load(argv[1]);
  const int threads = std::stoi(argv[2]);
  std::vector<std::string> files;
  for (int i = 3; i < argc; ++i) files.push_back(read_file(argv[i]));
  for (std::string line; std::getline(std::cin, line);)
    std::cout << one_round(files, config, threads) << std::endl;
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) {
  try {
    return caprl::bench(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
  }
}
