#include "cli/doctor_checks.h"

#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <sys/resource.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "caprl/core/files.h"
#include "caprl/core/memory.h"
#include "caprl/image/image.h"
#include "caprl/io/jsonl.h"
#include "caprl/io/parquet.h"
#include "caprl/text/words.h"
#include "cli/build_info.h"
#include "cli/units.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kFewFiles = 1024;

/// A folder that is gone afterwards.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (fs::temp_directory_path() / "caprl_doctor_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw Error("{} cannot be written: {}; name another folder in TMPDIR",
                  fs::temp_directory_path().string(), std::strerror(errno));
    path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(const char* name) const { return path_ / name; }

 private:
  fs::path path_;
};

void expect(bool right, const char* what) {
  if (!right)
    throw Error("{}: the result is wrong; the library is damaged or of another version", what);
}

/// 2 · identity times ones, so that every value is 2 in every dtype.
void multiply(at::Device device, at::ScalarType dtype) {
  const auto options = at::TensorOptions(device).dtype(dtype);
  const at::Tensor product = at::mm(at::eye(256, options).mul(2), at::ones({256, 256}, options));
  expect(product.eq(2).all().item<bool>(), "a product of matrices");
}

std::string check_torch() {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) multiply(at::kCPU, dtype);
  return fmt::format("LibTorch {} computes, {} threads", TORCH_VERSION, at::get_num_threads());
}

std::string check_images() {
  RgbImage image{16, 16, std::vector<uint8_t>(768, 128)};
  const std::string file = encode_jpeg(image, 95);
  const RgbImage decoded = decode_image(std::as_bytes(std::span(file)), "a JPEG file");
  expect(decoded.width == 16 && decoded.height == 16 && std::abs(decoded.pixels[0] - 128) <= 2,
         "a JPEG file written and read");
  return "JPEG written and read";
}

std::string check_text() {
  expect(split_words("eine Tasse, 二つの皿").size() >= 4, "words of a text (ICU)");
  return "ICU finds words";
}

std::string check_files() {
  const Scratch scratch;
  write_file_atomic(scratch / "file", "content");
  expect(read_file(scratch / "file") == "content", "a file written and read");
  const nlohmann::json row = {{"row", 1}};
  write_jsonl_zst(scratch / "rows.jsonl.zst", {&row, 1});
  JsonlReader reader(scratch / "rows.jsonl.zst");
  const auto line = reader.next();
  expect(line && line->value == row, "JSONL compressed by zstd");
  return fmt::format("written, synced and read in {}", fs::temp_directory_path().string());
}

bool exists(const char* path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string check_gpus() {
  const bool driver = exists("/dev/nvidiactl") || exists("/dev/nvidia0");
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (!built_with_cuda()) {
    if (driver)
      throw Error(
          "this machine has an NVIDIA GPU, but this build has no CUDA; build the preset cuda "
          "(README.md)");
    return "none; this build is for CPUs";
  }
  if (!driver)
    throw Error(
        "this build is for GPUs, but there is no NVIDIA driver (/dev/nvidiactl); install one, or, "
        "in "
        "a container, start it with --gpus all; --device cpu works without");
  if (!at::hasCUDA() || at::accelerator::deviceCount() == 0)
    throw Error(
        "there is an NVIDIA driver, but no GPU is usable: {}; compare nvidia-smi's CUDA version "
        "with "
        "13",
        visible != nullptr ? fmt::format("CUDA_VISIBLE_DEVICES is '{}'", visible)
                           : "the driver may be older than CUDA 13 needs");
  std::string text;
  for (int i = 0; i < at::accelerator::deviceCount(); ++i) {
    const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(i));
    multiply(device, at::kBFloat16);
    const auto [free, all] = at::accelerator::getMemoryInfo(device.index());
    text +=
        fmt::format("{}{} computes, {} of {} free", i == 0 ? "" : "\n", device.str(),
                    bytes_text(static_cast<double>(free)), bytes_text(static_cast<double>(all)));
  }
  return text;
}

/// Loading many shards and serving many clients take file descriptors.
std::string check_limits() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < kFewFiles)
    throw Error("only {} files may be open at a time; raise it: ulimit -n 4096", files.rlim_cur);
  return fmt::format("{} open files, {} of memory available", files.rlim_cur,
                     bytes_text(static_cast<double>(available_memory_bytes())));
}

}  // namespace

void check_installation(Checklist& checks) {
  checks.check("build", build_info);
  checks.check("torch", check_torch);
  checks.check("gpus", check_gpus);
  checks.check("images", check_images);
  checks.check("text", check_text);
  checks.check("files", check_files);
  checks.check("limits", check_limits);
  if (!has_parquet())
    checks.note("parquet", "this build reads JSONL only; tools/setup brings Arrow");
}

}  // namespace caprl
