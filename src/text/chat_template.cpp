#include "text/chat_template.h"

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/json.h"
#include "text/jinja.h"
#include "text/json_fields.h"

namespace caprl {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string config_template(const JsonPlace& place) {
  if (!place.value->is_array()) return place.string();
  for (size_t i = 0; i < place.array().size(); ++i) {
    if (place.element(i).member("name").string() == "default")
      return place.element(i).member("template").string();
  }
  throw InputError("{}: none of the templates is named \"default\"", place.where);
}

ChatTemplate read_source(const fs::path& model_dir, const fs::path& override_file) {
  const fs::path jinja = model_dir / "chat_template.jinja";
  const fs::path& file = override_file.empty() ? jinja : override_file;
  if (!override_file.empty() || fs::exists(jinja)) return {read_file(file), file.string()};
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    const fs::path holder = model_dir / name;
    if (!fs::exists(holder)) continue;
    const json content = read_json(holder);
    const JsonPlace place = JsonPlace{&content, holder.string() + ": "}.member("chat_template");
    if (!place.is_absent()) return {config_template(place), place.where};
  }
  throw InputError(
      "{}: no chat template: expected chat_template.jinja, chat_template.json or chat_template in "
      "tokenizer_config.json",
      model_dir.string());
}

/// The special tokens with a name; the older files say {"content": "<s>"}.
json read_token_names(const fs::path& model_dir) {
  json names = json::object();
  for (const char* file : {"special_tokens_map.json", "tokenizer_config.json"}) {
    if (!fs::exists(model_dir / file)) continue;
    const json content = read_json(model_dir / file);
    for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
      const JsonPlace place = JsonPlace{&content, (model_dir / file).string() + ": "}.member(name);
      if (place.is_absent()) continue;
      names[name] = place.value->is_object() ? place.member("content").string() : place.string();
    }
  }
  return names;
}

}  // namespace

std::string ChatTemplate::render(const json& messages, bool generation_prompt) const {
  json all = variables;
  all["messages"] = messages;
  all["add_generation_prompt"] = generation_prompt;
  all["enable_thinking"] = false;
  return render_jinja(source, all, where);
}

ChatTemplate read_chat_template(const fs::path& model_dir, const fs::path& override_file) {
  ChatTemplate result = read_source(model_dir, override_file);
  result.variables = read_token_names(model_dir);
  return result;
}

}  // namespace caprl
