// A terminal's screen, as far as the program's output needs one: what is on it after some bytes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

class Screen {
 public:
  Screen(int columns, int rows) : columns_(columns), rows_(rows), cells_(1) {}

  void feed(std::string_view bytes) {
    for (const char c : bytes) {
      pending_ += c;
      if (!is_whole(pending_)) continue;
      obey(pending_);
      pending_.clear();
    }
  }

  /// Narrower: `reflows` lines into several rows, as most terminals do, or cuts them, as others do.
  void resize(int columns, int rows, bool reflows) {
    const auto width = static_cast<size_t>(columns);
    std::vector<Row> cells;
    int cursor = 0;
    for (int r = 0; r < std::ssize(cells_); ++r) {
      const Row& row = cells_[static_cast<size_t>(r)];
      if (r == row_) cursor = static_cast<int>(cells.size());
      for (size_t at = 0; at == 0 || (reflows && at < row.size()); at += width)
        cells.emplace_back(row.begin() + std::min(at, row.size()),
                           row.begin() + std::min(at + width, row.size()));
    }
    row_ = cursor;
    columns_ = columns;
    rows_ = rows;
    cells_ = std::move(cells);
    column_ = std::min(column_, columns - 1);
  }

  /// All that can be seen by scrolling up, without blanks at the ends of lines and empty lines at
  /// the end.
  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    for (const Row& row : cells_) {
      std::string line;
      for (const std::string& cell : row) line += cell;
      while (line.ends_with(' ')) line.pop_back();
      lines.push_back(line);
    }
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    return lines;
  }
  std::string text() const {
    std::string text;
    for (const std::string& line : lines()) text += line + "\n";
    return text;
  }
  int row() const { return row_; }
  int column() const { return column_; }
  /// How often a line was too long for the screen.
  int wraps() const { return wraps_; }
  /// Sequences that this screen does not know.
  const std::string& unknown() const { return unknown_; }

 private:
  using Row = std::vector<std::string>;

  static bool is_whole(const std::string& bytes) {
    const auto first = static_cast<unsigned char>(bytes[0]);
    if (first == 0x1b) return bytes.size() > 2 && bytes.back() >= 0x40 && bytes.back() <= 0x7e;
    const size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    return bytes.size() == size;
  }

  static int width_of(const std::string& character) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
    if (character.size() < 3) return byte(0) == 0xcc || (byte(0) == 0xcd && byte(1) < 0xb0) ? 0 : 1;
    if (character.size() == 4) return 2;  // emoji, here
    const int code = (byte(0) & 0xf) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    return (code >= 0x2e80 && code <= 0xd7a3) || (code >= 0xff00 && code <= 0xff60) ? 2 : 1;
  }

  void obey(const std::string& bytes) {
    if (bytes == "\r") {
      column_ = 0;
    } else if (bytes == "\n") {
      down();
    } else if (bytes[0] == 0x1b) {
      escape(bytes);
    } else if (static_cast<unsigned char>(bytes[0]) < 0x20) {
      unknown_ += bytes;
    } else {
      put(bytes);
    }
  }

  void escape(const std::string& bytes) {
    const std::string number = bytes.substr(2, bytes.size() - 3);
    if (bytes.back() == 'm') return;  // colours
    if (bytes == "\x1b[J" || bytes == "\x1b[K") {
      Row& row = cells_[static_cast<size_t>(row_)];
      row.resize(std::min(row.size(), static_cast<size_t>(column_)));
      if (bytes == "\x1b[J") cells_.resize(static_cast<size_t>(row_) + 1);
    } else if (bytes.back() == 'A' && !number.empty()) {
      row_ = std::max(row_ - std::stoi(number), first_visible());
    } else {
      unknown_ += bytes;
    }
  }

  /// The row at the screen's top: those above it cannot be drawn on any more.
  int first_visible() const { return std::max(0, static_cast<int>(cells_.size()) - rows_); }

  void down() {
    ++row_;
    if (row_ == std::ssize(cells_)) cells_.emplace_back();
  }

  void put(const std::string& character) {
    const int width = width_of(character);
    if (width == 0 && column_ > 0) {
      cells_[static_cast<size_t>(row_)][static_cast<size_t>(column_) - 1] += character;
      return;
    }
    if (column_ + width > columns_) {
      ++wraps_;
      column_ = 0;
      down();
    }
    Row& row = cells_[static_cast<size_t>(row_)];
    row.resize(std::max(row.size(), static_cast<size_t>(column_ + width)), " ");
    row[static_cast<size_t>(column_)] = character;
    if (width == 2) row[static_cast<size_t>(column_) + 1] = "";
    column_ += width;
  }

  int columns_, rows_, row_ = 0, column_ = 0, wraps_ = 0;
  std::vector<Row> cells_;  // those that have been scrolled away, too
  std::string pending_, unknown_;
};

}  // namespace caprl
