// TensorBoard's event files, read without any of caprl's code: TFRecord's framing and the few
// fields of the Event protocol buffer that scalars need.
#pragma once
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace caprl::events {

inline uint32_t crc32c(std::string_view bytes) {  // bit by bit, as RFC 3720 defines it
  uint32_t crc = 0xffffffff;
  for (const char c : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const uint32_t differs = (crc ^ static_cast<uint32_t>(static_cast<uint8_t>(c) >> bit)) & 1;
      crc = (crc >> 1) ^ (differs != 0 ? 0x82f63b78 : 0);
    }
  return crc ^ 0xffffffff;
}

inline uint32_t masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

/// Reads from the front of what is left.
class Reader {
 public:
  explicit Reader(std::string_view left) : left_(left) {}
  bool done() const { return left_.empty(); }
  std::string_view bytes(uint64_t count) {
    if (count > left_.size()) throw std::runtime_error("event file: cut short");
    const auto taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  template <class T>
  T fixed() {
    T value;
    std::memcpy(&value, bytes(sizeof(T)).data(), sizeof(T));
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = fixed<uint8_t>();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw std::runtime_error("event file: a number of more than ten bytes");
  }

 private:
  std::string_view left_;
};

struct Event {
  double wall_time = 0;
  int64_t step = 0;
  std::string file_version;
  bool starts_session = false;
  std::map<std::string, float> scalars;
};

inline void expect(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(std::string("event file: ") + what);
}

inline std::pair<std::string, float> parse_value(std::string_view text) {
  std::pair<std::string, float> value;
  for (Reader in(text); !in.done();) {
    const uint64_t key = in.varint();
    if (key == (1 << 3 | 2))
      value.first = in.bytes(in.varint());
    else if (key == (2 << 3 | 5))
      value.second = in.fixed<float>();
    else
      expect(false, "an unknown field of a Summary.Value");
  }
  return value;
}

inline Event parse_event(std::string_view text) {
  Event event;
  for (Reader in(text); !in.done();) {
    const uint64_t key = in.varint();
    if (key == (1 << 3 | 1)) {
      event.wall_time = in.fixed<double>();
    } else if (key == (2 << 3 | 0)) {
      event.step = static_cast<int64_t>(in.varint());
    } else if (key == (3 << 3 | 2)) {
      event.file_version = in.bytes(in.varint());
    } else if (key == (7 << 3 | 2)) {
      expect(in.bytes(in.varint()) == std::string_view("\x08\x01", 2), "SessionLog is not START");
      event.starts_session = true;
    } else if (key == (5 << 3 | 2)) {
      for (Reader summary(in.bytes(in.varint())); !summary.done();) {
        expect(summary.varint() == (1 << 3 | 2), "an unknown field of a Summary");
        expect(event.scalars.insert(parse_value(summary.bytes(summary.varint()))).second,
               "a tag twice");
      }
    } else {
      expect(false, "an unknown field of an Event");
    }
  }
  return event;
}

inline std::vector<Event> read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(stream), {}};
  std::vector<Event> events;
  for (Reader in(content); !in.done();) {
    const std::string_view length = in.bytes(8);
    expect(in.fixed<uint32_t>() == masked(crc32c(length)), "a wrong checksum of a length");
    const std::string_view data = in.bytes(Reader(length).fixed<uint64_t>());
    expect(in.fixed<uint32_t>() == masked(crc32c(data)), "a wrong checksum");
    events.push_back(parse_event(data));
  }
  return events;
}

inline std::set<std::filesystem::path> files(const std::filesystem::path& folder) {
  std::set<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.insert(entry.path());
  return files;
}

/// What TensorBoard shows: by tag the value of each step. A mark of a session's start forgets that
/// step and later ones, but for the first such mark (its event accumulator's rule).
inline std::map<std::string, std::vector<std::pair<int64_t, float>>> read_folder(
    const std::filesystem::path& folder) {
  std::map<std::string, std::vector<std::pair<int64_t, float>>> tags;
  bool started = false;
  for (const auto& file : files(folder)) {
    const auto events = read_file(file);
    expect(!events.empty() && events[0].file_version == "brain.Event:2", "no version");
    for (const Event& event : events) {
      if (event.starts_session && std::exchange(started, true))
        for (auto& [tag, values] : tags)
          std::erase_if(values, [&](const auto& value) { return value.first >= event.step; });
      for (const auto& [tag, value] : event.scalars) tags[tag].emplace_back(event.step, value);
    }
  }
  return tags;
}

}  // namespace caprl::events
