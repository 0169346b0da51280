// A record is its length (64 bits), that length's checksum, an Event, that one's checksum; integers
// with the low byte first. tensorflow/core/{lib/io/record_writer.cc,util/event.proto,
// framework/summary.proto} define both; event.proto's numbers of fields are named here.
#include "caprl/io/tensorboard.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>

#include "caprl/core/error.h"
#include "crc32c.h"

namespace caprl {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kPrefix = "events.out.tfevents.";

template <class T>
std::string bytes_of(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

// Protocol buffers: a field is its number and kind, then its value.

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

std::string integer_field(int number, int64_t value) {
  return varint(static_cast<uint64_t>(number) << 3) + varint(static_cast<uint64_t>(value));
}

std::string double_field(int number, double value) {
  return varint(static_cast<uint64_t>(number) << 3 | 1) + bytes_of(value);
}

std::string float_field(int number, float value) {
  return varint(static_cast<uint64_t>(number) << 3 | 5) + bytes_of(value);
}

std::string bytes_field(int number, std::string_view value) {
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(value.size()).append(value);
}

/// Event: wall_time 1, step 2, file_version 3, summary 5, session_log 7.
std::string event(int64_t step, const std::string& content) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  return double_field(1, now.count()) + integer_field(2, step) + content;
}

/// The checksum as it is stored: that of data with checksums in it would be weak otherwise.
uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8; }

/// A name after those of all event files in the folder: TensorBoard reads them in this order,
/// whatever the clock does.
std::string new_name(const std::filesystem::path& folder) {
  int64_t second = std::chrono::duration_cast<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    int64_t earlier = 0;
    if (name.starts_with(kPrefix) &&
        std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), earlier).ec ==
            std::errc())
      second = std::max(second, earlier + 1);
  }
  char host[256] = "";
  ::gethostname(host, sizeof(host) - 1);
  return fmt::format("{}{:010}.{}.{}.0", kPrefix, second, host[0] ? host : "localhost", ::getpid());
}

}  // namespace

TensorboardWriter::TensorboardWriter(const std::filesystem::path& folder, int64_t first_step) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw InputError("log.tensorboard: {} cannot be created: {}", folder.string(), error.message());
  file_ = folder / new_name(folder);
  fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0)
    throw InputError("log.tensorboard: {} cannot be created: {}", file_.string(),
                     std::strerror(errno));
  append(event(0, bytes_field(3, "brain.Event:2")));
  // SessionLog: status 1, START is 1. The first of a run's marks is its beginning, the others are
  // continuations: a run without the first would keep the steps that it did twice.
  append(event(first_step, bytes_field(7, integer_field(1, 1))));
}

TensorboardWriter::~TensorboardWriter() { ::close(fd_); }

void TensorboardWriter::write(int64_t step, const Metrics& values) {
  std::string summary;  // Summary: value 1; Value: tag 1, simple_value 2
  for (const auto& [name, value] : values)
    summary += bytes_field(1, bytes_field(1, name) + float_field(2, static_cast<float>(value)));
  append(event(step, bytes_field(5, summary)));
  if (::fdatasync(fd_) != 0)
    throw Error("{} cannot be synced to disk: {}", file_.string(), std::strerror(errno));
}

void TensorboardWriter::append(const std::string& event) {
  const std::string length = bytes_of(static_cast<uint64_t>(event.size()));
  const std::string record =
      length + bytes_of(masked_crc(length)) + event + bytes_of(masked_crc(event));
  for (std::string_view left = record; !left.empty();) {
    const ssize_t written = ::write(fd_, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw Error("{} cannot be written: {}", file_.string(), std::strerror(errno));
    left.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace caprl
