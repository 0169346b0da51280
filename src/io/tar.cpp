#include "caprl/io/tar.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <span>
#include <string_view>

#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr int64_t kBlock = 512;
constexpr int64_t kLongestExtension = int64_t{1} << 20;  // of names and pax records

/// Places within a header block (POSIX.1-1988, "ustar").
struct Place {
  size_t begin, size;
};
constexpr Place kName{0, 100}, kSize{124, 12}, kChecksum{148, 8}, kType{156, 1}, kMagic{257, 5},
    kVersion{262, 3}, kPrefix{345, 155};

std::string_view field(std::string_view header, Place place) {
  return header.substr(place.begin, place.size);
}

/// Up to the zero byte that ends it.
std::string text(std::string_view header, Place place) {
  const std::string_view whole = field(header, place);
  return std::string(whole.substr(0, whole.find('\0')));
}

/// Octal digits, or GNU's form for large numbers: the first bit set, the rest big-endian.
std::optional<int64_t> number(std::string_view digits) {
  if (static_cast<unsigned char>(digits[0]) == 0x80) {
    int64_t value = 0;
    for (const char c : digits.substr(1)) {
      if (value >> 54 != 0) return std::nullopt;
      value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
  }
  const size_t begin = std::min(digits.find_first_not_of(' '), digits.size());
  digits.remove_prefix(begin);
  digits = digits.substr(0, digits.find_first_of(std::string_view(" \0", 2)));
  int64_t value = 0;
  const auto [end, failure] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  const bool is_number = failure == std::errc() && end == digits.data() + digits.size();
  return is_number && value >= 0 ? std::optional(value) : std::nullopt;
}

/// The sum of the header's bytes, those of the sum itself as spaces.
bool has_right_checksum(std::string_view header) {
  const auto said = number(field(header, kChecksum));
  int64_t sum = 0;
  for (size_t i = 0; i < header.size(); ++i)
    sum += i - kChecksum.begin < kChecksum.size ? ' ' : static_cast<unsigned char>(header[i]);
  return said == sum;
}

bool is_zero(std::string_view block) {
  return block.find_first_not_of('\0') == std::string_view::npos;
}

int64_t padded(int64_t size) { return (size + kBlock - 1) / kBlock * kBlock; }

}  // namespace

TarFile::TarFile(std::filesystem::path path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (fd_ < 0 || ::fstat(fd_, &status) != 0) {
    const std::string reason = std::strerror(errno);
    if (fd_ >= 0) ::close(fd_);
    throw InputError("{}: cannot read: {}", path_.string(), reason);
  }
  size_ = status.st_size;
  unsigned char magic[2] = {};
  const bool has_magic = ::pread(fd_, magic, 2, 0) == 2;
  if (has_magic && (magic[0] == 0x1f || (magic[0] == 0x28 && magic[1] == 0xb5))) {
    ::close(fd_);
    throw InputError("{}: expected an uncompressed tar, got a compressed file", path_.string());
  }
}

TarFile::~TarFile() { ::close(fd_); }

SharedBytes TarFile::read(int64_t offset, int64_t size) const {
  const auto content = std::make_shared<std::string>(static_cast<size_t>(size), '\0');
  int64_t have = 0;
  while (have < size) {
    const ssize_t count =
        ::pread(fd_, content->data() + have, static_cast<size_t>(size - have), offset + have);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      throw InputError("{}: byte {}: expected {} bytes, got {}: {}", path_.string(), offset, size,
                       have, count < 0 ? std::strerror(errno) : "the archive is cut short");
    have += count;
  }
  return {content, std::as_bytes(std::span(std::as_const(*content)))};
}

std::string TarReader::header_at(int64_t offset) const {
  if (offset + kBlock > file_->size())
    throw InputError(
        "{}: byte {}: expected a header or the end mark, got {} bytes: the archive is "
        "cut short",
        file_->path().string(), offset, std::max<int64_t>(0, file_->size() - offset));
  const SharedBytes block = file_->read(offset, kBlock);
  return {reinterpret_cast<const char*>(block.bytes.data()), block.bytes.size()};
}

/// GNU's long name, or pax's records "LENGTH KEY=VALUE\n".
void TarReader::read_extension(char type, int64_t offset, int64_t size, Named& named) const {
  if (size > kLongestExtension)
    throw InputError("{}: byte {}: expected a name of at most {} bytes, got {}",
                     file_->path().string(), offset, kLongestExtension, size);
  const SharedBytes content = file_->read(offset, size);
  std::string_view left(reinterpret_cast<const char*>(content.bytes.data()), content.bytes.size());
  if (type == 'L') {
    named.name = left.substr(0, left.find('\0'));
    return;
  }
  while (!left.empty() && left[0] != '\0') {
    size_t length = 0;
    const auto [end, failure] = std::from_chars(left.data(), left.data() + left.size(), length);
    const auto digits = static_cast<size_t>(end - left.data());
    if (failure != std::errc() || length > left.size() || length < digits + 2)
      throw InputError("{}: byte {}: malformed pax header", file_->path().string(), offset);
    const std::string_view record = left.substr(digits + 1, length - digits - 2);
    const size_t equals = std::min(record.find('='), record.size());
    const std::string_view key = record.substr(0, equals),
                           value = record.substr(std::min(equals + 1, record.size()));
    if (key == "path") named.name = value;
    int64_t bytes = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), bytes);
    if (key == "size" && parsed.ec == std::errc() && bytes >= 0) named.size = bytes;
    left.remove_prefix(length);
  }
}

std::optional<TarMember> TarReader::next() {
  Named named;
  while (!ended_) {
    ended_ = true;  // after an error
    const int64_t at = offset_;
    const std::string header = header_at(at);
    if (is_zero(header)) return std::nullopt;
    auto size = number(field(header, kSize));
    if (!size || !has_right_checksum(header))
      throw InputError("{}: byte {}: expected a header of tar, got something else",
                       file_->path().string(), at);
    const char type = field(header, kType)[0];
    const bool is_extension = type == 'L' || type == 'K' || type == 'x' || type == 'g';
    if (!is_extension) size = named.size.value_or(*size);
    const int64_t content = at + kBlock;
    if (*size > std::numeric_limits<int64_t>::max() - content - kBlock)
      throw InputError("{}: byte {}: expected a size within the archive, got {}",
                       file_->path().string(), at, *size);
    offset_ = content + padded(*size);
    if (type == 'L' || type == 'x') read_extension(type, content, *size, named);
    ended_ = false;
    if (is_extension) continue;
    std::string name = std::move(named.name);
    named = {};
    if (type != '0' && type != '\0' && type != '7') continue;  // folders, links
    if (name.empty()) {
      name = text(header, kName);
      // GNU's own headers have other things in the prefix's place.
      const bool is_ustar = field(header, kMagic) == "ustar" && field(header, kVersion)[0] == '\0';
      const std::string prefix = is_ustar ? text(header, kPrefix) : std::string();
      if (!prefix.empty()) name = prefix + "/" + name;
    }
    const bool is_whole = content + *size <= file_->size();
    ended_ = !is_whole;
    return TarMember{std::move(name), content, *size, is_whole};
  }
  return std::nullopt;
}

}  // namespace caprl
