#include "text/json_fields.h"

namespace caprl {
namespace {

using nlohmann::json;

const json kAbsent;

template <class T>
const T& get(const JsonPlace& place, std::string_view expected) {
  const T* content = place.value->get_ptr<const T*>();
  if (content == nullptr) {
    throw InputError("{}: expected {}, got {}", place.where, expected,
                     place.value->is_null() ? "nothing" : place.value->type_name());
  }
  return *content;
}

}  // namespace

JsonPlace JsonPlace::member(std::string_view key) const {
  const std::string path = where + (where.ends_with(' ') ? "" : ".") + std::string(key);
  if (!value->is_object()) return {&kAbsent, path};
  const auto found = value->find(key);
  return {found == value->end() ? &kAbsent : &*found, path};
}

JsonPlace JsonPlace::element(size_t index) const {
  return {&array().at(index), fmt::format("{}[{}]", where, index)};
}

const json::object_t& JsonPlace::object() const { return get<json::object_t>(*this, "an object"); }
const json::array_t& JsonPlace::array() const { return get<json::array_t>(*this, "an array"); }
const std::string& JsonPlace::string() const { return get<std::string>(*this, "a string"); }

int64_t JsonPlace::integer() const {
  if (!value->is_number_integer()) get<json::number_integer_t>(*this, "an integer");
  return value->get<int64_t>();
}

bool JsonPlace::boolean_or(bool absent) const {
  return is_absent() ? absent : get<bool>(*this, "true or false");
}

}  // namespace caprl
