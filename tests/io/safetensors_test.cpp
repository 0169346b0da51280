#include "caprl/io/safetensors.h"

#include <ATen/ATen.h>

#include "support.h"

namespace caprl {
namespace {

using namespace test;
namespace fs = std::filesystem;

const fs::path kGolden = fs::path(CAPRL_TEST_FILES) / "io/all_dtypes.safetensors";
constexpr const char* kOddName = "ünï \"quoted\"\n";

const std::vector<std::pair<std::string, at::ScalarType>> kTypes = {{"BOOL", at::kBool},
                                                                    {"U8", at::kByte},
                                                                    {"I8", at::kChar},
                                                                    {"I16", at::kShort},
                                                                    {"F8_E5M2", at::kFloat8_e5m2},
                                                                    {"F8_E4M3", at::kFloat8_e4m3fn},
                                                                    {"U16", at::kUInt16},
                                                                    {"F16", at::kHalf},
                                                                    {"BF16", at::kBFloat16},
                                                                    {"I32", at::kInt},
                                                                    {"U32", at::kUInt32},
                                                                    {"F32", at::kFloat},
                                                                    {"F64", at::kDouble},
                                                                    {"I64", at::kLong},
                                                                    {"U64", at::kUInt64}};

/// The rule of tools/golden/make_io.py.
at::Tensor golden_values(const std::string& type, at::ScalarType dtype, at::IntArrayRef shape) {
  const at::Tensor index = at::arange(c10::multiply_integers(shape), at::kLong);
  if (type == "BOOL") return index.remainder(2).eq(1).reshape(shape);
  return (index * 7).remainder(120).sub(type[0] == 'U' ? 0 : 3).to(dtype).reshape(shape);
}

NamedTensors golden_tensors() {
  NamedTensors tensors;
  for (const auto& [type, dtype] : kTypes) {
    tensors.emplace_back("matrix." + type, golden_values(type, dtype, {3, 5}));
    tensors.emplace_back("scalar." + type, golden_values(type, dtype, {}));
    tensors.emplace_back("nothing." + type, golden_values(type, dtype, {0, 4}));
  }
  tensors.emplace_back(kOddName, at::tensor({1.5f, -0.0f}));
  return tensors;
}

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.contiguous(), y = b.contiguous();
  return x.scalar_type() == y.scalar_type() && x.sizes() == y.sizes() &&
         (x.nbytes() == 0 || std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0);
}

TEST(Safetensors, ReadsTheReferenceImplementationsFile) {
  const SafetensorsFile file(kGolden);
  const NamedTensors expected = golden_tensors();
  ASSERT_EQ(file.entries().size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(file.contains(name)) << name;
    EXPECT_EQ(file.entry(name).dtype, tensor.scalar_type()) << name;
    EXPECT_EQ(file.entry(name).shape, tensor.sizes().vec()) << name;
    EXPECT_TRUE(same_bytes(file.tensor(name), tensor)) << name;
  }
  EXPECT_EQ(file.metadata(), kTorchMetadata);
  EXPECT_EQ(file.entries().front().name, "matrix.U64");
  EXPECT_EQ(file.entries().back().name, "scalar.BOOL");
  expect_error<InputError>([&] { file.tensor("absent"); }, {kGolden, "no tensor named \"absent\""});
}

TEST(Safetensors, WritesTheReferenceImplementationsBytes) {
  const TempFolder folder;
  write_safetensors(folder / "a.safetensors", golden_tensors());
  EXPECT_EQ(read_text(folder / "a.safetensors"), read_text(kGolden));
  EXPECT_EQ(num_entries(folder.path()), 1u);
}

TEST(Safetensors, TensorsAliasTheMappingAndKeepItAlive) {
  const TempFolder folder;
  const at::Tensor weight = at::arange(4096, at::kFloat);
  write_safetensors(folder / "a", {{"w", weight}});
  at::Tensor first, second;
  {
    const SafetensorsFile file(folder / "a");
    first = file.tensor("w");
    second = file.tensor("w");
  }
  fs::remove(folder / "a");
  EXPECT_EQ(first.const_data_ptr(), second.const_data_ptr());
  EXPECT_TRUE(at::equal(first, weight));
}

TEST(Safetensors, CopiesDataThatAreNotAligned) {
  const TempFolder folder;
  // One byte of another tensor, and a header of 107 bytes, put the doubles on an odd address.
  std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                       R"("b":{"dtype":"F64","shape":[2],"data_offsets":[1,17]}})";
  write_text(folder / "a", raw_file(header, 17));
  const at::Tensor tensor = SafetensorsFile(folder / "a").tensor("b");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 8, 0u);
  const auto expected = std::bit_cast<double>(uint64_t{0x0101010101010101});
  EXPECT_EQ(tensor[0].item<double>(), expected);
  EXPECT_EQ(tensor[1].item<double>(), expected);
}

TEST(Safetensors, WritesViewsAndOmitsEmptyMetadata) {
  const TempFolder folder;
  const at::Tensor base = at::arange(12, at::kInt).reshape({3, 4});
  write_safetensors(folder / "a", {{"t", base.t()}, {"row", base[1]}}, {});
  const SafetensorsFile file(folder / "a");
  EXPECT_TRUE(at::equal(file.tensor("t"), base.t()));
  EXPECT_TRUE(at::equal(file.tensor("row"), base[1]));
  EXPECT_TRUE(file.metadata().empty());
  EXPECT_EQ(read_text(folder / "a").find("__metadata__"), std::string::npos);
}

TEST(Safetensors, WritesAnEmptySet) {
  const TempFolder folder;
  write_safetensors(folder / "a", {});
  EXPECT_TRUE(SafetensorsFile(folder / "a").entries().empty());
}

TEST(Safetensors, RefusesWhatItCannotWrite) {
  const TempFolder folder;
  const at::Tensor one = at::ones({1});
  const auto refuses = [&](const NamedTensors& tensors, const std::string& words) {
    expect_error<Error>([&] { write_safetensors(folder / "a", tensors); }, {folder / "a", words});
    EXPECT_EQ(num_entries(folder.path()), 0u);
  };
  refuses({{"x", one}, {"x", one}}, "tensor \"x\" is given twice");
  refuses({{"__metadata__", one}}, "cannot name a tensor");
  refuses({{"x", at::Tensor()}}, "tensor \"x\": expected a dense tensor");
  refuses({{"x", one.to(at::kComplexFloat)}}, "tensor \"x\": safetensors cannot hold ComplexFloat");
  expect_error<Error>(
      [&] {
        write_safetensors(folder / "absent/a", {{"x", one}});
      },
      {folder / "absent/a", "cannot create: No such file or directory"});
}

struct BadFile {
  const char* what;
  std::string content;
  std::string words;
};

std::string two(const std::string& a, const std::string& b, size_t data) {
  return raw_file("{\"a\":" + a + ",\"b\":" + b + "}", data);
}

const std::string kFloats = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";

const std::vector<BadFile> kBadFiles = {
    {"empty", "", "the file is empty"},
    {"short prefix", "1234567",
     "truncated: expected an 8-byte header length, got a file of 7 bytes"},
    {"oversized header",
     raw_file("{}", 0).replace(0, 8, std::string("\x01\xe1\xf5\x05\0\0\0\0", 8)),
     "header length: expected at most 100000000 bytes, got 100000001"},
    {"header length near 2^64", std::string(8, '\xff') + "{}",
     "header length: expected at most 100000000 bytes, got 18446744073709551615"},
    {"truncated header", raw_file("{\"a\":" + kFloats + "}", 8).substr(0, 20),
     "truncated: the header needs 62 bytes, got a file of 20 bytes"},
    {"no header", raw_file("", 4), "its header does not start with '{'"},
    {"space first", raw_file(" {}", 0), "its header does not start with '{'"},
    {"bad JSON", raw_file("{\"a\":}", 0), "header: malformed JSON: syntax error"},
    {"text after JSON", raw_file("{} x", 0), "header: malformed JSON"},
    {"no UTF-8", raw_file("{\"\xff\":1}", 0), "ill-formed UTF-8 byte"},
    {"duplicate names", raw_file("{\"a\":" + kFloats + ",\"a\":" + kFloats + "}", 8),
     "header: key \"a\" occurs twice in one object"},
    {"duplicate keys",
     raw_file(R"({"a":{"dtype":"F32","dtype":"I32","shape":[],"data_offsets":[0,4]}})", 4),
     "key \"dtype\" occurs twice in one object"},
    {"no object", raw_file(R"({"a":[1]})", 0),
     "tensor \"a\": expected an object with dtype, shape and data_offsets, got array"},
    {"no dtype", raw_file(R"({"a":{"shape":[],"data_offsets":[0,4]}})", 4),
     "tensor \"a\": \"dtype\" is missing"},
    {"no shape", raw_file(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4),
     "tensor \"a\": \"shape\" is missing"},
    {"no offsets", raw_file(R"({"a":{"dtype":"F32","shape":[]}})", 4),
     "tensor \"a\": \"data_offsets\" is missing"},
    {"unknown dtype", raw_file(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})", 1),
     "tensor \"a\": unknown dtype \"F4\""},
    {"dtype no string", raw_file(R"({"a":{"dtype":7,"shape":[],"data_offsets":[0,4]}})", 4),
     "tensor \"a\": unknown dtype 7"},
    {"negative size", raw_file(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1),
     "tensor \"a\": shape: expected a list of sizes, got [-1]"},
    {"fractional size", raw_file(R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1),
     "shape: expected a list of sizes, got [1.0]"},
    {"size above 2^63",
     raw_file(R"({"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}})", 1),
     "shape: expected a list of sizes"},
    {"overflow",
     raw_file(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
     "tensor \"a\": shape [4294967296, 4294967296] of F32 has more bytes than 64 bits can count"},
    {"overflow by the dtype's size",
     raw_file(R"({"a":{"dtype":"I64","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0),
     "has more bytes than 64 bits can count"},
    {"offsets reversed", raw_file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1),
     "tensor \"a\": data_offsets: expected [begin, end], got [1,0]"},
    {"three offsets", raw_file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1),
     "data_offsets: expected [begin, end], got [0,1,2]"},
    {"shape contradicts size",
     raw_file(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8),
     "tensor \"a\": expected 12 bytes for shape [3] of F32, got 8 (data_offsets [0, 8])"},
    {"first not at zero", raw_file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2),
     "tensor \"a\": gap: expected its data to begin at 0, got 1"},
    {"gap", two(kFloats, R"({"dtype":"U8","shape":[1],"data_offsets":[9,10]})", 10),
     "tensor \"b\": gap: expected its data to begin at 8, got 9"},
    {"overlap", two(kFloats, R"({"dtype":"U8","shape":[2],"data_offsets":[7,9]})", 9),
     "tensor \"b\": overlap: expected its data to begin at 8, got 7"},
    {"shared data", two(kFloats, kFloats, 8),
     "tensor \"b\": overlap: expected its data to begin at 8, got 0"},
    {"truncated data", raw_file("{\"a\":" + kFloats + "}", 7),
     "truncated: expected 8 bytes of tensor data, got 7"},
    {"trailing bytes", raw_file("{\"a\":" + kFloats + "}", 9),
     "trailing bytes: expected 8 bytes of tensor data, got 9"},
    {"trailing bytes without tensors", raw_file("{}", 1),
     "trailing bytes: expected 0 bytes of tensor data, got 1"},
    {"metadata no strings", raw_file(R"({"__metadata__":{"a":1}})", 0),
     "__metadata__: expected an object of strings"},
    {"metadata no object", raw_file(R"({"__metadata__":"x"})", 0),
     "__metadata__: expected an object of strings, got string"},
};

TEST(Safetensors, RefusesBadFiles) {
  const TempFolder folder;
  const fs::path path = folder / "bad.safetensors";
  for (const BadFile& bad : kBadFiles) {
    SCOPED_TRACE(bad.what);
    write_text(path, bad.content);
    expect_error<InputError>([&] { SafetensorsFile{path}; }, {path, bad.words});
  }
  expect_error<InputError>([&] { SafetensorsFile{folder / "absent"}; },
                           {folder / "absent", "cannot open: No such file or directory"});
  expect_error<InputError>([&] { SafetensorsFile{folder.path()}; },
                           {folder.path(), "is not a regular file"});
}

TEST(Safetensors, RefusesEveryTruncationAndEveryExtension) {
  const TempFolder folder;
  const std::string whole = read_text(kGolden);
  for (size_t size = 0; size < whole.size(); size += size < 64 ? 1 : 97) {
    write_text(folder / "a", whole.substr(0, size));
    EXPECT_THROW(SafetensorsFile{folder / "a"}, InputError) << size;
  }
  write_text(folder / "a", whole + '\0');
  EXPECT_THROW(SafetensorsFile{folder / "a"}, InputError);
}

/// Whatever byte of the header is changed, reading ends in a value or in an InputError.
TEST(Safetensors, SurvivesDamagedHeaders) {
  const TempFolder folder;
  const std::string whole = two(kFloats, R"({"dtype":"U8","shape":[0,3],"data_offsets":[8,8]})", 8);
  int refused = 0;
  for (size_t at = 0; at < whole.size() - 8; ++at) {
    for (const char value : {'\0', '\xff', '"', '{', '9', '-'}) {
      std::string damaged = whole;
      damaged[at] = value;
      write_text(folder / "a", damaged);
      try {
        const SafetensorsFile file(folder / "a");
        for (const auto& entry : file.entries()) file.tensor(entry.name).clone();
      } catch (const InputError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 300);
}

}  // namespace
}  // namespace caprl
