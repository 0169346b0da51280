// preprocessor_config.json, in the forms that transformers 4 and 5 write.
#include <cmath>
#include <optional>
#include <set>

#include "caprl/core/error.h"
#include "caprl/image/image.h"
#include "caprl/io/json.h"

namespace caprl {
namespace {

using nlohmann::json;

constexpr int kBicubic = 3;  // PIL.Image.Resampling.BICUBIC
constexpr int64_t kDefaultMaxPixels =
    28 * 28 * 1280;  // of the processor class, where the file is silent
constexpr int64_t kMaxPatchSide = 1024;
constexpr int64_t kMaxPixels = int64_t{1} << 40;

/// Typed access to one JSON object; null counts as absent.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object())
      throw InputError("{}: expected an object, got {}", where_, object.type_name());
  }

  const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  std::string name(const char* key) const { return fmt::format("{}: {}", where_, key); }

  std::optional<int64_t> integer(const char* key, int64_t max) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_integer() || *value < 1 || *value > max)
      throw InputError("{}: expected an integer from 1 to {}, got {}", name(key), max,
                       value->dump());
    return value->get<int64_t>();
  }

  void read(const char* key, int64_t max, int64_t& target) const {
    if (const auto value = integer(key, max)) target = *value;
  }

  void read_channels(const char* key, bool positive, float (&target)[3]) const {
    const json* value = find(key);
    if (value == nullptr) return;
    bool good = value->is_array() && value->size() == 3;
    for (size_t c = 0; good && c < 3; ++c) {
      good = (*value)[c].is_number() && std::isfinite((*value)[c].get<float>());
      if (good) target[c] = (*value)[c].get<float>();
      good = good && (!positive || target[c] > 0);
    }
    if (!good)
      throw InputError("{}: expected three {}numbers, got {}", name(key),
                       positive ? "positive " : "", value->dump());
  }

  /// A step of the processor that is always done here.
  void require_true(const char* key) const {
    const json* value = find(key);
    if (value != nullptr && *value != true)
      throw InputError("{}: only true is supported, got {}", name(key), value->dump());
  }

  void require_number(const char* key, double expected) const {
    const json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_number() || std::abs(value->get<double>() - expected) > 1e-9)
      throw InputError("{}: only {} is supported, got {}", name(key), expected, value->dump());
  }

 private:
  const json& object_;
  std::string where_;
};

void check_kind(const Fields& fields) {
  static const std::set<std::string> kKnown = {"Qwen2VLImageProcessor", "Qwen2VLImageProcessorFast",
                                               "Qwen2VLImageProcessorPil",
                                               "Qwen2_5_VLImageProcessor"};
  const json* kind = fields.find("image_processor_type");
  if (kind == nullptr)
    throw InputError("{}: missing; expected Qwen2VLImageProcessor",
                     fields.name("image_processor_type"));
  if (!kind->is_string() || !kKnown.contains(kind->get<std::string>()))
    throw InputError("{}: expected Qwen2VLImageProcessor, got {}",
                     fields.name("image_processor_type"), kind->dump());
}

PatchConfig parse(const json& object, const std::string& where) {
  const Fields fields(object, where);
  check_kind(fields);
  for (const char* step : {"do_resize", "do_rescale", "do_normalize", "do_convert_rgb"})
    fields.require_true(step);
  fields.require_number("resample", kBicubic);
  fields.require_number("rescale_factor", 1.0 / 255.0);

  PatchConfig config;
  config.max_pixels = kDefaultMaxPixels;
  fields.read("patch_size", kMaxPatchSide, config.patch_size);
  fields.read("temporal_patch_size", kMaxPatchSide, config.temporal_patch_size);
  fields.read("merge_size", kMaxPatchSide, config.merge_size);
  if (const json* size = fields.find("size")) {
    const Fields edges(*size, where + ": size");  // named edges, but counts of pixels
    edges.read("shortest_edge", kMaxPixels, config.min_pixels);
    edges.read("longest_edge", kMaxPixels, config.max_pixels);
  }
  fields.read("min_pixels", kMaxPixels, config.min_pixels);
  fields.read("max_pixels", kMaxPixels, config.max_pixels);
  if (config.min_pixels > config.max_pixels)
    throw InputError("{}: min_pixels {} is above max_pixels {}", where, config.min_pixels,
                     config.max_pixels);
  fields.read_channels("image_mean", false, config.mean);
  fields.read_channels("image_std", true, config.std);
  return config;
}

}  // namespace

PatchConfig PatchConfig::load(const std::filesystem::path& model_dir) {
  // transformers 5 nests the image processor's part here, and prefers it.
  if (const auto path = model_dir / "processor_config.json"; std::filesystem::exists(path)) {
    const json processor = read_json(path);
    if (processor.is_object() && processor.contains("image_processor"))
      return parse(processor["image_processor"], path.string() + ": image_processor");
  }
  const auto path = model_dir / "preprocessor_config.json";
  return parse(read_json(path), path.string());
}

}  // namespace caprl
