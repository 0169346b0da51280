#include <ATen/ATen.h>

#include <bit>
#include <cstring>

#include "caprl/core/error.h"
#include "caprl/core/pulse.h"
#include "caprl/io/safetensors.h"
#include "mapped_file.h"
#include "safetensors_header.h"
#include "scalar_types.h"

namespace caprl {

static_assert(std::endian::native == std::endian::little, "tensor files are little-endian");

SafetensorsFile::SafetensorsFile(std::filesystem::path path)
    : path_(std::move(path)), file_(std::make_shared<const MappedFile>(path_)) {
  safetensors::Header header = safetensors::parse(file_->bytes(), path_.string());
  data_start_ = header.data_start;
  metadata_ = std::move(header.metadata);
  entries_.reserve(header.entries.size());
  for (safetensors::Entry& e : header.entries)
    entries_.push_back(
        {std::move(e.name), safetensors::scalar_type(e.dtype), std::move(e.shape), e.begin, e.end});
  for (size_t i = 0; i < entries_.size(); ++i) index_.emplace(entries_[i].name, i);
}

bool SafetensorsFile::contains(std::string_view name) const { return index_.contains(name); }

const SafetensorsFile::Entry& SafetensorsFile::entry(std::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) throw InputError("{}: no tensor named \"{}\"", path_.string(), name);
  return entries_[found->second];
}

at::Tensor SafetensorsFile::tensor(std::string_view name) const {
  pulse();
  const Entry& wanted = entry(name);
  const std::byte* data = file_->bytes().data() + data_start_ + wanted.begin;
  const auto options = at::TensorOptions().dtype(wanted.dtype);
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(wanted.dtype) != 0) {
    at::Tensor copy = at::empty(wanted.shape, options);
    if (copy.nbytes() > 0) std::memcpy(copy.data_ptr(), data, copy.nbytes());
    return copy;
  }
  // What has been read and let go of no longer counts as this process's memory, so that a model is
  // loaded without holding its file too.
  const std::span part(data, wanted.end - wanted.begin);
  return at::from_blob(
      const_cast<std::byte*>(data), wanted.shape,
      [keep = file_, part](void*) { keep->release(part); }, options);
}

}  // namespace caprl
