#include "output_file.h"

#include <cerrno>
#include <cstring>

#include "caprl/core/error.h"

namespace caprl::demo {

OutputFile::OutputFile(const std::filesystem::path& path)
    : path_(path), stream_(path, std::ios::binary) {
  check();
}

void OutputFile::write(std::string_view bytes) {
  stream_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void OutputFile::line(const nlohmann::ordered_json& value) { write(value.dump() + "\n"); }

void OutputFile::close() {
  stream_.close();
  check();
}

void OutputFile::check() const {
  if (!stream_) throw Error("{} cannot be written: {}", path_.string(), std::strerror(errno));
}

}  // namespace caprl::demo
