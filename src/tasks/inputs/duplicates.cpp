#include "tasks/inputs/duplicates.h"

#include <algorithm>
#include <array>
#include <span>
#include <tuple>
#include <vector>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/pulse.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using Hash = std::array<uint64_t, 2>;

Hash hash_of(std::string_view key) {
  const std::string digits = hash_bytes(std::as_bytes(std::span(key)));
  return {std::stoull(digits.substr(0, 16), nullptr, 16),
          std::stoull(digits.substr(16), nullptr, 16)};
}

template <class T>
void put(std::ofstream& out, const T& value) {
  out.write(reinterpret_cast<const char*>(&value), sizeof value);
}
template <class T>
bool get(std::ifstream& in, T& value) {
  return static_cast<bool>(in.read(reinterpret_cast<char*>(&value), sizeof value));
}

/// A place, written as its length and its characters.
std::string place_at(std::ifstream& file, std::streamoff offset) {
  uint32_t size = 0;
  file.clear();
  file.seekg(offset);
  get(file, size);
  std::string place(size, '\0');
  file.read(place.data(), size);
  return place;
}

}  // namespace

struct DuplicateFinder::Entry {
  Hash hash;
  int64_t index;
  std::streamoff place;
};

DuplicateFinder::DuplicateFinder(fs::path scratch)
    : scratch_(std::move(scratch)), out_(scratch_, std::ios::binary | std::ios::trunc) {
  if (!out_) throw Error("{}: cannot write", scratch_.string());
}

DuplicateFinder::~DuplicateFinder() {
  std::error_code ignored;
  fs::remove(scratch_, ignored);
}

void DuplicateFinder::add(int64_t index, std::string_view key, std::string_view where) {
  put(out_, hash_of(key));
  put(out_, index);
  put(out_, static_cast<uint32_t>(where.size()));
  out_.write(where.data(), static_cast<std::streamsize>(where.size()));
  ++count_;
}

void DuplicateFinder::find(const std::function<void(const Duplicate&)>& report, size_t most) {
  out_.close();
  if (!out_) throw Error("{}: cannot write", scratch_.string());
  std::ifstream file(scratch_, std::ios::binary);
  const size_t num_passes = count_ / most + 1;
  for (size_t pass = 0; pass < num_passes; ++pass) find_pass(pass, num_passes, file, report);
}

void DuplicateFinder::find_pass(size_t pass, size_t num_passes, std::ifstream& file,
                                const std::function<void(const Duplicate&)>& report) const {
  std::vector<Entry> entries;
  file.clear();
  file.seekg(0);
  Entry entry{};
  std::streamoff offset = 0;
  for (size_t i = 0; i < count_; ++i) {
    pulse();
    uint32_t size = 0;
    if (!get(file, entry.hash) || !get(file, entry.index) || !get(file, size) || !file.ignore(size))
      throw Error("{}: cannot read", scratch_.string());
    entry.place = offset + static_cast<std::streamoff>(sizeof entry.hash + sizeof entry.index);
    offset = entry.place + static_cast<std::streamoff>(sizeof size + size);
    if (entry.hash[0] % num_passes == pass) entries.push_back(entry);
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.hash, a.index) < std::tie(b.hash, b.index);
  });
  for (size_t i = 1, first = 0; i < entries.size(); ++i) {
    if (entries[i].hash != entries[first].hash) {
      first = i;
      continue;
    }
    report({entries[i].index, entries[first].index, place_at(file, entries[i].place),
            place_at(file, entries[first].place)});
  }
}

}  // namespace caprl
