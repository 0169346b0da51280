// A launch: checks, shared memory, and the blocks one after another.
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "kernels/emulation/block.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

// All __shared__ variables of the program, by the linker (shared_section.ld).
extern "C" {
[[gnu::visibility("hidden")]] extern unsigned char caprl_shared_begin[], caprl_shared_end[];
}

namespace caprl::emulation {
namespace {

constexpr int kMaxThreads = 1024;
constexpr unsigned kMaxGridX = 0x7fffffff, kMaxGridYZ = 65535;
constexpr size_t kMaxSharedBytes = 227 * 1024;

struct Settings {
  Order order;
  std::mt19937 generator;
  int num_multiprocessors = 4;
};

Settings settings_of_environment() {
  const char* const variable = std::getenv("CAPRL_EMULATION_ORDER");
  const std::string text = variable == nullptr ? "forward" : variable;
  if (text == "forward") return {Order::kForward, {}};
  if (text == "reverse") return {Order::kReverse, {}};
  if (text == "random") return {Order::kRandom, {}};
  if (text.starts_with("random:"))
    return {Order::kRandom, std::mt19937(static_cast<unsigned>(std::stoul(text.substr(7))))};
  throw Error("CAPRL_EMULATION_ORDER is forward, reverse, random or random:SEED, not " + text);
}
Settings& settings() {
  static Settings instance = settings_of_environment();
  return instance;
}

std::unique_ptr<Block> threads;  // kept from launch to launch
unsigned char* dynamic = nullptr;

template <class Vector>
std::string describe(const Vector& v) {
  return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
}

/// NaN, −1: nobody may count on what shared memory holds at first. Not memset, which would respect
/// AddressSanitizer's guards between the variables.
void poison(unsigned char* memory, size_t bytes) {
  asm volatile("rep stosb" : "+D"(memory), "+c"(bytes) : "a"(0xff) : "memory");
}

void check(dim3 grid, int block, size_t shared_bytes) {
  if (block < 1 || block > kMaxThreads || grid.x > kMaxGridX || grid.y > kMaxGridYZ ||
      grid.z > kMaxGridYZ || shared_bytes > kMaxSharedBytes)
    throw Error("launch of a kernel: no device takes a grid of " + describe(grid) + " blocks, " +
                std::to_string(block) + " threads, " + std::to_string(shared_bytes) +
                " bytes of shared memory");
}

std::vector<uint64_t> block_order(uint64_t num_blocks) {
  std::vector<uint64_t> blocks(num_blocks);
  std::iota(blocks.begin(), blocks.end(), 0);
  Settings& chosen = settings();
  if (chosen.order == Order::kReverse) std::reverse(blocks.begin(), blocks.end());
  if (chosen.order == Order::kRandom) std::shuffle(blocks.begin(), blocks.end(), chosen.generator);
  return blocks;
}

}  // namespace

void run_grid(dim3 grid, int block, size_t shared_bytes, const std::function<void()>& body) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check(grid, block, shared_bytes);
  const std::unique_ptr<void, void (*)(void*)> memory(std::malloc(shared_bytes), std::free);
  dynamic = static_cast<unsigned char*>(memory.get());
  gridDim = grid;
  blockDim = dim3(static_cast<unsigned>(block));
  if (!threads) threads = std::make_unique<Block>();
  for (uint64_t i : block_order(static_cast<uint64_t>(grid.x) * grid.y * grid.z)) {
    blockIdx = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                static_cast<unsigned>(i / grid.x / grid.y)};
    poison(caprl_shared_begin, static_cast<size_t>(caprl_shared_end - caprl_shared_begin));
    poison(dynamic, shared_bytes);
    try {
      threads->run(blockDim.x, body, settings().order, settings().generator);
    } catch (const Error& error) {
      threads.reset();
      throw Error("block " + describe(blockIdx) + ": " + error.what());
    }
  }
}

void* dynamic_shared() { return dynamic; }
int num_multiprocessors() { return settings().num_multiprocessors; }
void set_num_multiprocessors(int count) { settings().num_multiprocessors = count; }
Order set_order(Order order, unsigned seed) {
  settings().generator.seed(seed);
  return std::exchange(settings().order, order);
}

}  // namespace caprl::emulation
