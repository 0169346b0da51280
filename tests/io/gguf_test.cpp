#include "caprl/io/gguf.h"

#include <ATen/ATen.h>

#include <cstring>

#include "caprl/io/safetensors.h"
#include "support.h"

namespace caprl::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::filesystem::path golden_file(const char* name) {
  return std::filesystem::path(CAPRL_TEST_FILES) / "io" / name;
}

template <class T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

std::string text(std::string_view value) {
  return raw<uint64_t>(value.size()) + std::string(value);
}

std::string metadata(std::string_view key, uint32_t type, const std::string& value) {
  return text(key) + raw(type) + value;
}

std::string tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                   uint64_t offset) {
  std::string info = text(name) + raw(static_cast<uint32_t>(dims.size()));
  for (const uint64_t extent : dims) info += raw(extent);
  return info + raw(type) + raw(offset);
}

/// A file from its parts, with no check whatever.
struct Parts {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<std::string> metadata = {};
  std::vector<std::string> tensors = {};
  size_t data_bytes = 0;
  std::optional<uint64_t> num_metadata = {}, num_tensors = {};  // else as many as there are

  std::string file(uint64_t alignment = 32) const {
    std::string bytes = magic + raw(version) + raw<uint64_t>(num_tensors.value_or(tensors.size())) +
                        raw<uint64_t>(num_metadata.value_or(metadata.size()));
    for (const std::string& item : metadata) bytes += item;
    for (const std::string& item : tensors) bytes += item;
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    return bytes + std::string(data_bytes, '\x01');
  }
};

constexpr uint32_t kF32 = 0, kU8 = 0, kU32 = 4, kBool = 7, kString = 8, kList = 9;

class GgufTest : public testing::Test {
 protected:
  /// What the file says against being opened, without its path.
  std::string refusal(const std::string& bytes) {
    const auto path = folder_.write("bad.gguf", bytes);
    const std::string message = input_error([&] { GgufFile file(path); });
    EXPECT_THAT(message, StartsWith(path.string() + ": "));
    return message.substr(std::min(message.size(), path.string().size() + 2));
  }
  std::string refusal(const Parts& parts) { return refusal(parts.file()); }
  std::string refusal_of_metadata(const std::string& item) {
    return refusal(Parts{.metadata = {item}});
  }
  std::string refusal_of_tensor(const std::string& info, size_t data_bytes = 4096) {
    return refusal(Parts{.tensors = {info}, .data_bytes = data_bytes});
  }

  TempFolder folder_;
};

TEST_F(GgufTest, ReadsMetadataOfEveryType) {
  const GgufFile file(golden_file("blocks.gguf"));
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.string("general.architecture"), "test");
  EXPECT_EQ(file.integer("u8"), 200);
  EXPECT_EQ(file.integer("i8"), -100);
  EXPECT_EQ(file.integer("u16"), 60000);
  EXPECT_EQ(file.integer("i16"), -30000);
  EXPECT_EQ(file.integer("u32"), 4000000000);
  EXPECT_EQ(file.integer("i32"), -2000000000);
  EXPECT_EQ(file.integer("i64"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(file.number("f32"), 0.1f);
  EXPECT_EQ(file.number("f64"), 0.1);
  EXPECT_EQ(file.number("i8"), -100.0);
  EXPECT_TRUE(file.boolean("yes"));
  EXPECT_FALSE(file.boolean("no"));
  EXPECT_EQ(file.string("string"), "hé —");
  EXPECT_EQ(file.string("empty"), "");
  EXPECT_THAT(file.integers("list.u8"), ElementsAre(1, 255));
  EXPECT_THAT(file.integers("list.i32"), ElementsAre(-1, 0, 7));
  EXPECT_THAT(file.integers("list.u64"), ElementsAre(1, std::numeric_limits<int64_t>::max()));
  EXPECT_THAT(file.strings("list.string"), ElementsAre("", "a", "bü"));
  EXPECT_THAT(file.numbers("list.f32"), ElementsAre(0.5, -2.0));
  EXPECT_THAT(file.numbers("list.u8"), ElementsAre(1.0, 255.0));
  EXPECT_THAT(file.booleans("list.bool"), ElementsAre(true, false, true));
  EXPECT_FALSE(file.has("list"));
}

TEST_F(GgufTest, NamesWhatMetadataIsAndWasExpected) {
  const GgufFile file(golden_file("blocks.gguf"));
  const std::string path = golden_file("blocks.gguf").string();
  const auto error = [](auto call) { return input_error([&] { call(); }); };
  EXPECT_EQ(error([&] { file.integer("absent"); }), path + ": metadata \"absent\" is missing");
  EXPECT_EQ(error([&] { file.integer("f32"); }),
            path + ": metadata \"f32\": expected an integer, got a number");
  EXPECT_EQ(error([&] { file.integer("u64"); }),
            path + ": metadata \"u64\": expected at most 2^63 - 1, got 18446744073709551615");
  EXPECT_EQ(error([&] { file.number("yes"); }),
            path + ": metadata \"yes\": expected a number, got a boolean");
  EXPECT_EQ(error([&] { file.boolean("u8"); }),
            path + ": metadata \"u8\": expected a boolean, got an integer");
  EXPECT_EQ(error([&] { file.string("list.string"); }),
            path + ": metadata \"list.string\": expected a string, got a list of strings");
  EXPECT_EQ(error([&] { file.strings("string"); }),
            path + ": metadata \"string\": expected a list of strings, got a string");
  EXPECT_EQ(error([&] { file.integers("list.f32"); }),
            path + ": metadata \"list.f32\": expected a list of integers, got a list of numbers");
  EXPECT_EQ(error([&] { file.tensor("absent"); }), path + ": no tensor named \"absent\"");
}

TEST_F(GgufTest, DequantisesAsTheReferenceDoesBitForBit) {
  const GgufFile file(golden_file("blocks.gguf"));
  const SafetensorsFile expected(golden_file("blocks.safetensors"));
  ASSERT_EQ(expected.entries().size(), 8u);
  for (const auto& [name, dtype, shape, begin, end] : expected.entries()) {
    const at::Tensor values = file.tensor(name);
    EXPECT_EQ(file.entry(name).type, name);
    EXPECT_EQ(values.sizes(), at::IntArrayRef(shape)) << name;
    EXPECT_EQ(values.scalar_type(), name == "F16"    ? at::kHalf
                                    : name == "BF16" ? at::kBFloat16
                                                     : at::kFloat);
    EXPECT_TRUE(at::equal(values.to(at::kFloat), expected.tensor(name))) << name;
  }
}

TEST_F(GgufTest, ReversesDimensions) {
  const GgufFile file(golden_file("blocks.gguf"));
  EXPECT_EQ(file.tensors().back().name, "cube");
  EXPECT_TRUE(at::equal(file.tensor("cube"), at::arange(24, at::kFloat).reshape({2, 3, 4})));
}

TEST_F(GgufTest, ReadsVersion2AndDataThatTheFileDoesNotAlign) {
  const Parts parts{.version = 2,
                    .metadata = {metadata("general.alignment", kU32, raw<uint32_t>(1))},
                    .tensors = {tensor("a", {1}, kF32, 3)},
                    .data_bytes = 7};
  std::string bytes = parts.file(1);
  const float value = 2.5f;
  std::memcpy(bytes.data() + bytes.size() - 4, &value, 4);
  const GgufFile file(folder_.write("v2.gguf", bytes));
  EXPECT_EQ(file.version(), 2u);
  EXPECT_EQ(file.tensor("a").item<float>(), 2.5f);
}

TEST_F(GgufTest, TensorsOutliveTheFile) {
  at::Tensor values;
  {
    const GgufFile file(golden_file("blocks.gguf"));
    values = file.tensor("cube");
  }
  EXPECT_EQ(values.sum().item<float>(), 276.0f);
}

TEST_F(GgufTest, RefusesOtherFilesAndVersions) {
  EXPECT_EQ(refusal(Parts{.magic = "GGML"}),
            "magic: expected \"GGUF\", got bytes 47 47 4d 4c; this is no GGUF file");
  EXPECT_EQ(refusal(Parts{.version = 1}), "version: expected 2 or 3, got 1");
  EXPECT_EQ(refusal(Parts{.version = 4}), "version: expected 2 or 3, got 4");
  EXPECT_EQ(refusal(Parts{.version = 0x03000000}),
            "version: expected 2 or 3, got 50331648 (a big-endian file)");
  EXPECT_EQ(refusal(""), "the file is empty");
}

TEST_F(GgufTest, ChecksCountsAgainstTheFile) {
  EXPECT_EQ(refusal(Parts{.num_metadata = uint64_t{1} << 62}),
            "metadata count: expected at most 0, what is left of the file, got "
            "4611686018427387904");
  EXPECT_EQ(refusal(Parts{.data_bytes = 320, .num_tensors = ~uint64_t{0}}),
            "tensor count: expected at most 10, what is left of the file, got "
            "18446744073709551615");
  EXPECT_EQ(refusal_of_metadata(metadata("k", kList, raw(kString) + raw<uint64_t>(1000))),
            "metadata \"k\": list length: expected at most 1, what is left of the file, got 1000");
}

TEST_F(GgufTest, RefusesBadMetadata) {
  EXPECT_THAT(refusal_of_metadata(raw<uint64_t>(1 << 20) + "key"),
              StartsWith("metadata key: truncated: expected 1048576 bytes, got "));
  EXPECT_THAT(refusal_of_metadata(metadata("k", kString, raw(~uint64_t{0}) + "value")),
              StartsWith("metadata \"k\": string: truncated: expected 18446744073709551615 bytes"));
  EXPECT_EQ(refusal_of_metadata(metadata("k", 13, raw<uint32_t>(0))),
            "metadata \"k\": value type: expected 0 to 12, got 13");
  EXPECT_EQ(refusal_of_metadata(metadata("k", kList, raw<uint32_t>(99) + raw<uint64_t>(0))),
            "metadata \"k\": list type: expected 0 to 12, got 99");
  EXPECT_EQ(refusal_of_metadata(metadata("k", kList, raw(kList) + raw<uint64_t>(0))),
            "metadata \"k\": list type: expected lists of plain values, got a list of lists");
  EXPECT_EQ(refusal_of_metadata(metadata("k", kBool, raw<uint8_t>(2))),
            "metadata \"k\": value: expected a boolean of 0 or 1, got 2");
  const std::string item = metadata("k", kU8, raw<uint8_t>(2));
  EXPECT_EQ(refusal(Parts{.metadata = {item, item}}),
            "metadata \"k\": key: expected each once, got it twice");
}

TEST_F(GgufTest, RefusesBadAlignment) {
  for (const uint64_t alignment : {uint64_t{0}, uint64_t{24}, uint64_t{1} << 32})
    EXPECT_EQ(refusal_of_metadata(metadata("general.alignment", 10, raw(alignment))),
              "general.alignment: expected a power of two up to 2147483648, got " +
                  std::to_string(alignment));
  EXPECT_EQ(refusal_of_metadata(metadata("general.alignment", kBool, raw<uint8_t>(1))),
            "metadata \"general.alignment\": expected an integer, got a boolean");
}

TEST_F(GgufTest, RefusesBadShapes) {
  EXPECT_EQ(refusal_of_tensor(tensor("t", {}, kF32, 0)),
            "tensor \"t\": number of dimensions: expected 1 to 4, got 0");
  EXPECT_EQ(refusal_of_tensor(tensor("t", {1, 1, 1, 1, 1}, kF32, 0)),
            "tensor \"t\": number of dimensions: expected 1 to 4, got 5");
  EXPECT_EQ(refusal_of_tensor(tensor("t", {4, 0}, kF32, 0)),
            "tensor \"t\": dimension: expected a positive 64-bit integer, got 0");
  EXPECT_EQ(refusal_of_tensor(tensor("t", {~uint64_t{0}}, kF32, 0)),
            "tensor \"t\": dimension: expected a positive 64-bit integer, got "
            "18446744073709551615");
  EXPECT_EQ(refusal_of_tensor(tensor("t", {uint64_t{1} << 40, uint64_t{1} << 40}, kF32, 0)),
            "tensor \"t\": dimensions: expected at most 2^60 values, got shape [1099511627776, "
            "1099511627776]");
  EXPECT_EQ(refusal_of_tensor(tensor("t", {48, 2}, 8, 0)),
            "tensor \"t\": dimension: expected rows of a multiple of 32 values for Q8_0, got 48");
  EXPECT_EQ(refusal_of_tensor(tensor("t", {128, 2}, 12, 0)),
            "tensor \"t\": dimension: expected rows of a multiple of 256 values for Q4_K, got 128");
}

TEST_F(GgufTest, RefusesUnknownTensorTypes) {
  EXPECT_EQ(refusal_of_tensor(tensor("t", {256}, 13, 0)),
            "tensor \"t\": type: expected one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q6_K, got "
            "Q5_K (type 13)");
  EXPECT_THAT(refusal_of_tensor(tensor("t", {256}, 77, 0)), HasSubstr("Q6_K, got type 77"));
}

TEST_F(GgufTest, RefusesBadPlacesOfData) {
  EXPECT_EQ(refusal_of_tensor(tensor("t", {4}, kF32, 16)),
            "tensor \"t\": offset: expected a multiple of the alignment 32, got 16");
  EXPECT_EQ(refusal_of_tensor(tensor("t", {9}, kF32, 32), 64),
            "tensor \"t\": expected 36 bytes of data at offset 32, got 64 in all");
  EXPECT_EQ(refusal_of_tensor(tensor("t", {9}, kF32, ~uint64_t{31})),
            "tensor \"t\": offset: expected one inside the file, got 18446744073709551584");
  EXPECT_EQ(refusal(Parts{.tensors = {tensor("b", {4}, kF32, 32), tensor("a", {9}, kF32, 0)},
                          .data_bytes = 128}),
            "tensor \"b\": offset: expected at least 36, the end of \"a\", got 32");
  EXPECT_EQ(refusal(Parts{.tensors = {tensor("a", {4}, kF32, 0), tensor("a", {4}, kF32, 32)},
                          .data_bytes = 128}),
            "tensor \"a\": name: expected each once, got it twice");
}

/// Metadata and tensors of the kinds that have lengths of their own; no byte is padding at the end.
std::string small_file() {
  return Parts{
      .metadata = {metadata("s", kString, text("value")), metadata("n", kU32, raw<uint32_t>(7)),
                   metadata("l", kList, raw(kString) + raw<uint64_t>(2) + text("a") + text("")),
                   metadata("b", kList, raw(kBool) + raw<uint64_t>(2) + std::string(2, '\1'))},
      .tensors = {tensor("q", {32, 2}, 8, 0), tensor("f", {2, 4}, kF32, 96)},
      .data_bytes = 128}
      .file();
}

TEST_F(GgufTest, EveryTruncationIsAnInputError) {
  const auto path = folder_.write("cut.gguf", small_file());
  for (size_t size = small_file().size(); size > 0; --size) {
    EXPECT_NO_THROW(if (size == small_file().size()) GgufFile{path});
    std::filesystem::resize_file(path, size - 1);
    const std::string message = input_error([&] { GgufFile{path}; });
    ASSERT_THAT(message, StartsWith(path.string() + ": ")) << size - 1;
  }
}

TEST_F(GgufTest, NoDamagedByteDoesMoreThanAnInputError) {
  const auto path = folder_.write("damaged.gguf", small_file());
  const uint64_t header = GgufFile(path).tensors().front().begin;
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  size_t num_refused = 0;
  for (uint64_t at = 0; at < header; ++at) {
    const char intact = small_file()[at];
    for (const char damaged : {'\0', '\x7f', '\xff', static_cast<char>(intact ^ 1), intact}) {
      file.seekp(static_cast<std::streamoff>(at)).put(damaged).flush();
      try {
        const GgufFile opened(path);
        for (const GgufFile::Entry& entry : opened.tensors()) opened.tensor(entry.name);
      } catch (const InputError& error) {
        ASSERT_NE(damaged, intact) << at << ": " << error.what();
        ++num_refused;
      }
    }
  }
  EXPECT_GT(num_refused, header);
}

}  // namespace
}  // namespace caprl::test
