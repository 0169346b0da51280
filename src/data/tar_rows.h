// Rows of WebDataset archives.
#pragma once
#include <deque>
#include <map>
#include <memory>

#include "caprl/data/reader.h"
#include "caprl/io/tar.h"

namespace caprl {

/// Consecutive members with the same name up to its first dot ("a/0012.jpg", "a/0012.json") are a
/// sample: one image (.jpg, .jpeg, .png, .webp), and perhaps a JSON object, which is the row; other
/// members are passed over. Without an "id" of its own the row's is ARCHIVE/SAMPLE. A damaged place
/// is a bad row, after which the archive has no more.
class TarRows : public DataReader {
 public:
  explicit TarRows(const std::filesystem::path& path);
  std::optional<RowPlace> next() override;
  nlohmann::json row() override;

 private:
  void look_ahead();
  void take(const TarMember& member);

  std::shared_ptr<const TarFile> file_;
  TarReader reader_;
  std::optional<TarMember> ahead_;  // first member of the next sample
  std::string damage_;              // in place of the next member
  bool any_ = false;

  // The sample that next() has moved to.
  std::string key_, where_, fault_;
  std::optional<TarMember> image_, json_;
};

}  // namespace caprl
