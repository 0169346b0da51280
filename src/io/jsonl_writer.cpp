#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atomic_file.h"
#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "caprl/io/jsonl.h"

namespace caprl {
namespace {

std::string to_line(const nlohmann::json& value, const std::filesystem::path& path) {
  try {
    return value.dump() + "\n";
  } catch (const nlohmann::json::type_error& error) {
    throw Error("{}: cannot write a line: {}", path.string(), error.what());
  }
}

[[noreturn]] void fail(const std::filesystem::path& path, const char* what) {
  throw Error("{}: cannot {}: {}", path.string(), what, std::strerror(errno));
}

/// Size up to and including the last line end.
int64_t whole_lines(int fd, int64_t size, const std::filesystem::path& path) {
  char piece[4096];
  while (size > 0) {
    const int64_t begin =
        (size - 1) / static_cast<int64_t>(sizeof piece) * static_cast<int64_t>(sizeof piece);
    const ssize_t count = ::pread(fd, piece, static_cast<size_t>(size - begin), begin);
    if (count != size - begin) fail(path, "read");
    const size_t newline = std::string_view(piece, static_cast<size_t>(count)).rfind('\n');
    if (newline != std::string_view::npos) return begin + static_cast<int64_t>(newline) + 1;
    size = begin;
  }
  return 0;
}

class ZstdWriter {
 public:
  explicit ZstdWriter(const std::filesystem::path& path)
      : path_(path),
        file_(path),
        context_(ZSTD_createCCtx()),
        buffer_(ZSTD_CStreamOutSize(), '\0') {
    ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
  }
  ~ZstdWriter() { ZSTD_freeCCtx(context_); }
  ZstdWriter(const ZstdWriter&) = delete;
  ZstdWriter& operator=(const ZstdWriter&) = delete;

  void write(std::string_view text) { compress(text, ZSTD_e_continue); }
  void commit() {
    compress({}, ZSTD_e_end);
    file_.commit();
  }

 private:
  void compress(std::string_view text, ZSTD_EndDirective directive) {
    ZSTD_inBuffer input{text.data(), text.size(), 0};
    size_t remaining = 0;
    do {
      ZSTD_outBuffer output{buffer_.data(), buffer_.size(), 0};
      remaining = ZSTD_compressStream2(context_, &output, &input, directive);
      if (ZSTD_isError(remaining))
        throw Error("{}: cannot compress: {}", path_.string(), ZSTD_getErrorName(remaining));
      file_.write(std::string_view(buffer_.data(), output.pos));
    } while (input.pos < input.size || (directive == ZSTD_e_end && remaining > 0));
  }

  std::filesystem::path path_;
  AtomicFile file_;
  ZSTD_CCtx* context_;
  std::string buffer_;
};

}  // namespace

JsonlAppender::JsonlAppender(std::filesystem::path path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(path_, "open");
  try {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) fail(path_, "stat");
    size_ = whole_lines(fd_, status.st_size, path_);
    if (size_ != status.st_size && ::ftruncate(fd_, size_) != 0) fail(path_, "truncate");
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

JsonlAppender::~JsonlAppender() { ::close(fd_); }

void JsonlAppender::append(const nlohmann::json& value) {
  const std::string line = to_line(value, path_);
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t count = ::write(fd_, left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path_, "write");
    left.remove_prefix(static_cast<size_t>(count));
  }
  size_ += static_cast<int64_t>(line.size());
}

void write_jsonl_zst(const std::filesystem::path& path, std::span<const nlohmann::json> lines) {
  write_jsonl_zst(path, std::ssize(lines),
                  [&](int64_t i) { return lines[static_cast<size_t>(i)]; });
}

void write_jsonl_zst(const std::filesystem::path& path, int64_t count,
                     const std::function<nlohmann::json(int64_t)>& line) {
  std::error_code failure;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), failure);
  if (failure) throw Error("{}: cannot create the folder: {}", path.string(), failure.message());
  std::vector<std::string> lines(static_cast<size_t>(count));
  parallel_for(0, count, 16, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) lines[static_cast<size_t>(i)] = to_line(line(i), path);
  });
  ZstdWriter writer(path);
  for (const std::string& text : lines) writer.write(text);
  writer.commit();
}

}  // namespace caprl
