// Rows of published benchmarks as items of the generic form.
#pragma once
#include <nlohmann/json.hpp>
#include <vector>

namespace caprl {

struct FileSource;

std::vector<nlohmann::json> qa_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> prism_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> vlmevalkit_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> chartqa_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> chartqapro_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> charxiv_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> infovqa_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> mathverse_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> mathvision_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> mmmu_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> mmstar_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> seed_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> visulogic_rows(const nlohmann::json& row, const FileSource& source);
std::vector<nlohmann::json> wemath_rows(const nlohmann::json& row, const FileSource& source);

}  // namespace caprl
