// Renders chat templates written in the part of Jinja that published ones use.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace caprl {

/// Text, {{ }}, if/elif/else, for … in … if …, set. What is not supported is an InputError "WHERE:
/// …"; expressions count only if the rendering comes to them, so that branches for tools need no
/// support.
std::string render_jinja(std::string_view source, const nlohmann::json& variables,
                         const std::string& where);

}  // namespace caprl
