#include "caprl/core/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "caprl/core/error.h"
#include "caprl/core/files.h"

namespace caprl {
namespace {

[[noreturn]] void fail(const std::filesystem::path& file, std::string_view what) {
  throw Error("{} cannot be {}: {}", file.string(), what, std::strerror(errno));
}

int64_t step_of(std::string_view line, const std::filesystem::path& file, int64_t number) {
  const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || !object.contains("step") || !object["step"].is_number_integer())
    throw InputError("{}:{}: expected a metrics line with a step, got '{}'", file.string(), number,
                     line.substr(0, 80));
  return object["step"].get<int64_t>();
}

/// Bytes of the whole lines up to `last_step`.
size_t kept_bytes(std::string_view content, int64_t last_step, const std::filesystem::path& file) {
  size_t begin = 0;
  for (int64_t number = 1;; ++number) {
    const size_t end = content.find('\n', begin);
    if (end == std::string_view::npos) return begin;
    if (step_of(content.substr(begin, end - begin), file, number) > last_step) return begin;
    begin = end + 1;
  }
}

nlohmann::ordered_json to_json(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

}  // namespace

MetricsLogger::MetricsLogger(std::filesystem::path file, int64_t last_step)
    : file_(std::move(file)), last_step_(last_step) {
  const bool exists = std::filesystem::exists(file_);
  const size_t keep = exists ? kept_bytes(read_file(file_), last_step, file_) : 0;
  fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) fail(file_, "opened");
  if (::ftruncate(fd_, static_cast<off_t>(keep)) != 0) {
    ::close(fd_);
    fail(file_, "shortened");
  }
}

MetricsLogger::~MetricsLogger() { ::close(fd_); }

void MetricsLogger::write(int64_t step, const Metrics& values) {
  if (step < last_step_) throw Error("{}: step {} after step {}", file_.string(), step, last_step_);
  nlohmann::ordered_json object = {{"step", step}};
  for (const auto& [name, value] : values) object[name] = to_json(value);
  const std::string line = object.dump() + "\n";
  for (std::string_view left = line; !left.empty();) {
    const ssize_t written = ::write(fd_, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(file_, "written");
    left.remove_prefix(static_cast<size_t>(written));
  }
  if (::fdatasync(fd_) != 0) fail(file_, "synced to disk");
  last_step_ = step;
}

}  // namespace caprl
