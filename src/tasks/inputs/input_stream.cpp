#include <fstream>

#include "caprl/core/error.h"
#include "caprl/core/pulse.h"
#include "caprl/io/json.h"
#include "tasks/inputs/inputs.h"
#include "tasks/utf8.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;

/// What messages and records call a file whose name is no UTF-8.
std::string printable(const std::string& path) {
  std::string text;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    text += byte < 0x20 || byte >= 0x7f ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return text;
}

InputItem image_item(int64_t index, const std::string& path,
                     const std::vector<ChatMessage>& prompt) {
  InputItem item;
  item.index = index;
  item.where = is_utf8(path) ? path : printable(path);
  if (item.where != path)
    item.error = fmt::format("image {}: expected a name in UTF-8", item.where);
  item.row.id = item.row.where = item.where;
  item.row.prompt = prompt;
  item.row.image.path = path;
  item.row.image.name = fmt::format("image {}", item.where);
  return item;
}

}  // namespace

InputStream::InputStream(const Inputs& inputs) : inputs_(inputs) {}
InputStream::~InputStream() = default;

std::optional<InputItem> InputStream::next(const std::function<bool(int64_t)>& wanted) {
  if (auto item = next_row(wanted)) return item;
  return next_image(wanted);
}

/// Whether there is a file left to read.
bool InputStream::open_source() {
  if (source_ == inputs_.sources_.size()) return false;
  if (reader_) return true;
  const std::string& file = inputs_.sources_[source_].file;
  folder_ = fs::absolute(file).parent_path();
  reader_ = DataReader::open(file, inputs_.spec_.kind);
  return true;
}

std::optional<InputItem> InputStream::next_row(const std::function<bool(int64_t)>& wanted) {
  const InputSpec& spec = inputs_.spec_;
  while (damaged_left_ > 0 || open_source()) {
    InputItem item;
    if (damaged_left_ > 0) {
      --damaged_left_;
      item.index = index_++;
      if (!wanted(item.index)) continue;
      item.where = item.row.id = damage_where_;
      item.error = damage_;
      return item;
    }
    pulse();
    const auto place = reader_->next();
    if (!place) {
      reader_.reset();
      ++source_;
      continue;
    }
    const bool is_alone = place->count == 1;
    if (is_alone) item.index = index_++;
    if (is_alone && !wanted(item.index)) continue;
    item.where = place->where;
    try {
      item.value = reader_->row();
      if (spec.adapt) spec.adapt(item.value);
      item.row = parse_image_row(item.value, place->where, folder_, *spec.tokenizer, spec.prompt,
                                 place->image);
      return item;
    } catch (const InputError& error) {
      item.row.id = place->where;
      item.error = error.what();
      if (is_alone) return item;
      damage_ = item.error;
      damage_where_ = place->where;
      damaged_left_ = place->count;
    }
  }
  return std::nullopt;
}

std::optional<InputItem> InputStream::next_image(const std::function<bool(int64_t)>& wanted) {
  if (!images_)
    images_ = std::make_unique<std::ifstream>(inputs_.part(".images"), std::ios::binary);
  std::string path;
  while (std::getline(*images_, path, '\0')) {
    pulse();
    const int64_t index = index_++;
    if (wanted(index)) return image_item(index, path, inputs_.spec_.prompt);
  }
  return std::nullopt;
}

}  // namespace caprl
