// A build without Arrow.
#include "caprl/core/error.h"
#include "caprl/io/parquet.h"

namespace caprl {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path) {
  throw InputError(
      "{}: this build of caprl has no Parquet; run tools/setup and build it anew with "
      "-DCAPRL_PARQUET=ON",
      path.string());
}

}  // namespace

struct ParquetFile::Impl {};
struct ParquetRows::Impl {};
struct ParquetBytes::Impl {};
struct ParquetWriter::Impl {};

bool has_parquet() { return false; }

// There is no file, so that nothing of what needs one is ever called.
ParquetFile::ParquetFile(std::filesystem::path path) { refuse(path); }
ParquetFile::~ParquetFile() = default;
const std::filesystem::path& ParquetFile::path() const { refuse("a file"); }
const std::vector<ColumnType>& ParquetFile::columns() const { refuse("a file"); }
int64_t ParquetFile::num_rows() const { refuse("a file"); }
const std::vector<RowGroupInfo>& ParquetFile::row_groups() const { refuse("a file"); }
std::string ParquetFile::place(int64_t) const { refuse("a file"); }

ParquetRows::ParquetRows(std::shared_ptr<const ParquetFile>, const std::vector<std::string>&,
                         const std::string&) {
  refuse("a file");
}
ParquetRows::~ParquetRows() = default;
std::optional<ParquetRow> ParquetRows::next() { refuse("a file"); }

ParquetBytes::ParquetBytes(std::shared_ptr<const ParquetFile>, const std::string&, int64_t) {
  refuse("a file");
}
ParquetBytes::~ParquetBytes() = default;
std::optional<SharedBytes> ParquetBytes::read(int64_t) const { refuse("a file"); }
std::vector<bool> ParquetBytes::present(int64_t) const { refuse("a file"); }

ParquetWriter::ParquetWriter(const std::filesystem::path& path, std::vector<ColumnType>,
                             const ParquetLayout&) {
  refuse(path);
}
ParquetWriter::~ParquetWriter() = default;
void ParquetWriter::append(const nlohmann::json&, std::string_view) { refuse("a file"); }
void ParquetWriter::commit() { refuse("a file"); }

}  // namespace caprl
