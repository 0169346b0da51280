// preprocessor_config.json, in the forms that transformers 4 and 5 write.
#include <algorithm>
#include <cmath>
#include <iterator>
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
constexpr int64_t kMaxTileSide = 1 << 14, kMaxTiles = 1024;

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

enum class Kind { kQwen, kInternVl };

Kind read_kind(const Fields& fields) {
  static const std::set<std::string> qwen = {"Qwen2VLImageProcessor", "Qwen2VLImageProcessorFast",
                                             "Qwen2VLImageProcessorPil",
                                             "Qwen2_5_VLImageProcessor"};
  static const std::set<std::string> intern_vl = {
      "GotOcr2ImageProcessor", "GotOcr2ImageProcessorFast", "GotOcr2ImageProcessorPil"};
  const json* kind = fields.find("image_processor_type");
  if (kind == nullptr)
    throw InputError("{}: missing; expected Qwen2VLImageProcessor or GotOcr2ImageProcessor",
                     fields.name("image_processor_type"));
  if (kind->is_string() && qwen.contains(kind->get<std::string>())) return Kind::kQwen;
  if (kind->is_string() && intern_vl.contains(kind->get<std::string>())) return Kind::kInternVl;
  throw InputError("{}: expected Qwen2VLImageProcessor or GotOcr2ImageProcessor, got {}",
                   fields.name("image_processor_type"), kind->dump());
}

void read_qwen(const Fields& fields, const std::string& where, PatchConfig& config) {
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
}

/// vision_config.patch_size of config.json, one number or a list of equal ones.
void read_patch_size(const std::filesystem::path& model_dir, PatchConfig& config) {
  const auto path = model_dir / "config.json";
  const json model = read_json(path);
  const Fields fields(model, path.string());
  const json* vision = fields.find("vision_config");
  if (vision == nullptr) throw InputError("{}: missing", fields.name("vision_config"));
  json flat = *vision;
  if (flat.is_object() && flat.contains("patch_size") && flat["patch_size"].is_array() &&
      !flat["patch_size"].empty())
    flat["patch_size"] = json(flat["patch_size"][0]);
  Fields(flat, path.string() + ": vision_config")
      .read("patch_size", kMaxPatchSide, config.patch_size);
}

void check_tiles(const std::string& where, const PatchConfig& config) {
  if (config.min_tiles > config.max_tiles)
    throw InputError("{}: the least number of tiles {} is above the largest {}", where,
                     config.min_tiles, config.max_tiles);
  if (config.tile_size % config.patch_size != 0)
    throw InputError("{}: tiles of {} pixels are no multiple of patches of {}", where,
                     config.tile_size, config.patch_size);
}

/// Its processor class cuts every image into tiles, whatever crop_to_patches says here.
void read_internvl(const Fields& fields, const std::string& where,
                   const std::filesystem::path& model_dir, PatchConfig& config) {
  config.tile_size = 384;
  if (const json* size = fields.find("size")) {
    const Fields edges(*size, where + ": size");
    int64_t width = config.tile_size;
    edges.read("height", kMaxTileSide, config.tile_size);
    edges.read("width", kMaxTileSide, width);
    if (width != config.tile_size)
      throw InputError("{}: size: expected square tiles, got {} x {}", where, width,
                       config.tile_size);
  }
  fields.read("min_patches", kMaxTiles, config.min_tiles);
  fields.read("max_patches", kMaxTiles, config.max_tiles);
  read_patch_size(model_dir, config);
  check_tiles(where, config);
}

PatchConfig parse(const json& object, const std::string& where,
                  const std::filesystem::path& model_dir) {
  const Fields fields(object, where);
  const Kind kind = read_kind(fields);
  for (const char* step : {"do_resize", "do_rescale", "do_normalize", "do_convert_rgb"})
    fields.require_true(step);
  fields.require_number("resample", kBicubic);
  fields.require_number("rescale_factor", 1.0 / 255.0);
  PatchConfig config;
  if (kind == Kind::kQwen)
    read_qwen(fields, where, config);
  else
    read_internvl(fields, where, model_dir, config);
  fields.read_channels("image_mean", false, config.mean);
  fields.read_channels("image_std", true, config.std);
  return config;
}

/// InternVL's original layout says everything in config.json but the mean and deviation, which its
/// code fixes to those of ImageNet.
std::optional<PatchConfig> original_internvl(const std::filesystem::path& model_dir) {
  const auto path = model_dir / "config.json";
  if (!std::filesystem::exists(path)) return std::nullopt;
  const json model = read_json(path);
  if (!model.is_object() || !model.contains("architectures") ||
      model["architectures"] != json({"InternVLChatModel"}))
    return std::nullopt;
  const Fields fields(model, path.string());
  PatchConfig config;
  config.tile_size = 448;
  fields.read("force_image_size", kMaxTileSide, config.tile_size);
  if (const json* dynamic = fields.find("dynamic_image_size"); dynamic && *dynamic == false)
    config.max_tiles = 1;
  else {
    fields.read("min_dynamic_patch", kMaxTiles, config.min_tiles);
    fields.read("max_dynamic_patch", kMaxTiles, config.max_tiles);
  }
  if (const json* thumbnail = fields.find("use_thumbnail"))
    config.use_thumbnail = *thumbnail == true;
  constexpr float kMean[] = {0.485f, 0.456f, 0.406f}, kStd[] = {0.229f, 0.224f, 0.225f};
  std::copy(std::begin(kMean), std::end(kMean), config.mean);
  std::copy(std::begin(kStd), std::end(kStd), config.std);
  read_patch_size(model_dir, config);
  check_tiles(path.string(), config);
  return config;
}

}  // namespace

PatchConfig PatchConfig::load(const std::filesystem::path& model_dir) {
  if (const auto config = original_internvl(model_dir)) return *config;
  // transformers 5 nests the image processor's part here, and prefers it.
  if (const auto path = model_dir / "processor_config.json"; std::filesystem::exists(path)) {
    const json processor = read_json(path);
    if (processor.is_object() && processor.contains("image_processor"))
      return parse(processor["image_processor"], path.string() + ": image_processor", model_dir);
  }
  const auto path = model_dir / "preprocessor_config.json";
  return parse(read_json(path), path.string(), model_dir);
}

}  // namespace caprl
