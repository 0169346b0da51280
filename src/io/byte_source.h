// The bytes of a file from front to back, decompressed if it is a zstd file.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

namespace caprl {

class ByteSource {
 public:
  /// InputError naming the path if it cannot be opened.
  explicit ByteSource(std::filesystem::path path);
  ~ByteSource();

  /// Appends the next bytes to `out`; false at the end. InputError for read errors and damaged zstd
  /// data.
  bool read(std::string& out);

 private:
  struct Zstd;
  size_t read_file(char* out, size_t size);
  void inflate(std::string& out);

  std::filesystem::path path_;
  int fd_ = -1;
  bool at_start_ = true;
  std::string piece_;  // bytes of the file as last read
  std::unique_ptr<Zstd> zstd_;
};

}  // namespace caprl
