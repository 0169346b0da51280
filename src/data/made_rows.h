// Pieces of rows of supervised training that are made of rows of other forms.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace caprl {

/// Content as a list of parts; the image (null: none) before the text.
nlohmann::json made_message(const char* role, const std::string& text,
                            const nlohmann::json& image = {});

/// The id of the `index`-th row that is made of one row: further ones end in "#1", "#2", …. Null
/// stays null.
nlohmann::json made_id(const nlohmann::json& id, size_t index);

}  // namespace caprl
