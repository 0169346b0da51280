#include "data/tar_rows.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "caprl/core/error.h"
#include "caprl/io/json.h"

namespace caprl {
namespace {

class TarImage : public ImageStore {
 public:
  TarImage(std::shared_ptr<const TarFile> file, const TarMember& member)
      : file_(std::move(file)), offset_(member.offset), size_(member.size) {}
  SharedBytes read(int64_t) const override { return file_->read(offset_, size_); }

 private:
  std::shared_ptr<const TarFile> file_;
  int64_t offset_, size_;
};

/// "a/0012.seg.PNG" → {"a/0012", "seg.png"}
std::pair<std::string, std::string> split_name(const std::string& name) {
  const size_t base = name.rfind('/') + 1;  // npos + 1 is 0
  const size_t dot = name.find('.', base);
  if (dot == std::string::npos) return {name, {}};
  std::string suffix = name.substr(dot + 1);
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return {name.substr(0, dot), suffix};
}

bool is_image(const std::string& suffix) {
  static constexpr std::array<std::string_view, 4> kSuffixes = {"jpg", "jpeg", "png", "webp"};
  const std::string last = suffix.substr(suffix.rfind('.') + 1);
  return std::ranges::find(kSuffixes, last) != kSuffixes.end();
}

}  // namespace

TarRows::TarRows(const std::filesystem::path& path)
    : file_(std::make_shared<const TarFile>(path)), reader_(file_) {
  look_ahead();
}

void TarRows::look_ahead() {
  try {
    ahead_ = reader_.next();
  } catch (const InputError& error) {
    ahead_.reset();
    damage_ = error.what();
  }
}

void TarRows::take(const TarMember& member) {
  const auto [key, suffix] = split_name(member.name);
  if (!member.is_whole)
    fault_ = fmt::format("member '{}': the archive is cut short: expected {} bytes at byte {}",
                         member.name, member.size, member.offset);
  if (suffix == "json") json_ = member;
  if (!is_image(suffix)) return;
  if (image_)
    fault_ = fmt::format("expected one image, got '{}' and '{}'", image_->name, member.name);
  image_ = member;
}

std::optional<RowPlace> TarRows::next() {
  key_.clear();
  fault_.clear();
  image_.reset();
  json_.reset();
  if (ahead_) {
    any_ = true;
    key_ = split_name(ahead_->name).first;
    where_ = fmt::format("{}: sample '{}' (byte {})", file_->path().string(), key_, ahead_->offset);
    while (ahead_ && split_name(ahead_->name).first == key_) {
      const TarMember member = *std::move(ahead_);
      take(member);
      look_ahead();
    }
  } else if (!damage_.empty()) {
    any_ = true;
    where_ = file_->path().string();
    fault_ = std::exchange(damage_, {});
  } else if (!any_) {
    throw InputError("{}: expected files, got an archive without any", file_->path().string());
  } else {
    return std::nullopt;
  }
  if (!image_ && fault_.empty())
    fault_ = "expected an image (.jpg, .jpeg, .png or .webp), got none";
  RowPlace place{where_, 1, {}};
  if (fault_.empty()) place.image = {std::make_shared<TarImage>(file_, *image_), 0};
  return place;
}

nlohmann::json TarRows::row() {
  if (key_.empty()) throw InputError("{}", fault_);  // says its place itself
  if (!fault_.empty()) throw InputError("{}: {}", where_, fault_);
  nlohmann::json row = nlohmann::json::object();
  if (json_) {
    const std::string name = fmt::format("{}: {}", where_, json_->name);
    const SharedBytes content = file_->read(json_->offset, json_->size);
    row = parse_json({reinterpret_cast<const char*>(content.bytes.data()), content.bytes.size()},
                     name);
    if (!row.is_object()) throw InputError("{}: expected an object, got {}", name, row.type_name());
  }
  if (!row.contains("id") || row["id"].is_null())
    row["id"] = file_->path().stem().string() + "/" + key_;
  row.erase("image");
  return row;
}

}  // namespace caprl
