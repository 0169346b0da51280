#include "byte_source.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "caprl/core/error.h"
#include "caprl/core/pulse.h"

namespace caprl {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";

}  // namespace

struct ByteSource::Zstd {
  ZSTD_DStream* stream = ZSTD_createDStream();
  bool frame_ended = false;
  ~Zstd() { ZSTD_freeDStream(stream); }
};

ByteSource::ByteSource(std::filesystem::path path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) throw InputError("{}: cannot open: {}", path_.string(), std::strerror(errno));
}

ByteSource::~ByteSource() { ::close(fd_); }

size_t ByteSource::read_file(char* out, size_t size) {
  size_t filled = 0;
  while (filled < size) {  // a pipe gives less than asked for
    const ssize_t count = ::read(fd_, out + filled, size - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw InputError("{}: cannot read: {}", path_.string(), std::strerror(errno));
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  return filled;
}

bool ByteSource::read(std::string& out) {
  pulse();
  piece_.resize(kPieceBytes);
  piece_.resize(read_file(piece_.data(), piece_.size()));
  if (std::exchange(at_start_, false) && piece_.starts_with(kZstdMagic))
    zstd_ = std::make_unique<Zstd>();
  if (piece_.empty()) {
    if (zstd_ && !zstd_->frame_ended)
      throw InputError("{}: truncated: the zstd data end within a frame", path_.string());
    return false;
  }
  if (zstd_) {
    inflate(out);
  } else {
    out += piece_;
  }
  return true;
}

void ByteSource::inflate(std::string& out) {
  ZSTD_inBuffer input{piece_.data(), piece_.size(), 0};
  std::string buffer(ZSTD_DStreamOutSize(), '\0');
  bool output_full = true;
  while (input.pos < input.size || output_full) {
    ZSTD_outBuffer output{buffer.data(), buffer.size(), 0};
    const size_t result = ZSTD_decompressStream(zstd_->stream, &output, &input);
    if (ZSTD_isError(result))
      throw InputError("{}: damaged zstd data: {}", path_.string(), ZSTD_getErrorName(result));
    zstd_->frame_ended = result == 0;
    output_full = output.pos == output.size;
    out.append(buffer.data(), output.pos);
  }
}

}  // namespace caprl
