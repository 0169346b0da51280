// What `caprl caption` writes, as rows of supervised training.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace caprl {

/// {"id", "image": path or {"path"}, "caption"} or, in place of the last, "captions": [{"text",
/// "finish_reason"}, …], as {"id", "messages", "response"}: one row for each caption, the image
/// before `prompt`; ids of further captions end in "#1", "#2", …. InputError "WHERE: …" for a row
/// without an image's path or a caption, and for a caption that is empty or was cut off
/// (finish_reason "length").
std::vector<nlohmann::json> rows_of_captions(const nlohmann::json& row, const std::string& prompt,
                                             const std::string& where);

}  // namespace caprl
