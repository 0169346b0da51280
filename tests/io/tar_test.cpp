// Archives that Python's tarfile has written, and damaged ones.
#include "caprl/io/tar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class Tar : public testing::Test {
 protected:
  /// By tarfile, in one of its formats: members as the Python list [(name, size)], contents of
  /// letters.
  static fs::path make(const std::string& name, const std::string& format,
                       const std::string& members) {
    const fs::path file = folder_.path() / name;
    const std::string script =
        "import io, tarfile\n"
        "t = tarfile.open('" +
        file.string() + "', 'w', format=tarfile." + format +
        "_FORMAT)\n"
        "d = tarfile.TarInfo('folder'); d.type = tarfile.DIRTYPE; t.addfile(d)\n"
        "for name, size in " +
        members +
        ":\n"
        "  i = tarfile.TarInfo(name); i.size = size\n"
        "  t.addfile(i, io.BytesIO((name[-5:].encode() * size)[:size]))\n"
        "l = tarfile.TarInfo('link'); l.type = tarfile.SYMTYPE; l.linkname = 'x' * " +
        std::string(format == "USTAR" ? "90" : "120") +
        "; "
        "t.addfile(l)\n"
        "t.close()\n";
    write_file_atomic(folder_.path() / "make.py", script);
    EXPECT_EQ(std::system(("python3 " + (folder_.path() / "make.py").string()).c_str()), 0);
    return file;
  }
  /// "NAME CONTENT" of every member.
  static std::vector<std::string> members(const fs::path& path) {
    const auto file = std::make_shared<const TarFile>(path);
    TarReader reader(file);
    std::vector<std::string> all;
    while (const auto member = reader.next()) {
      EXPECT_TRUE(member->is_whole);
      const SharedBytes content = file->read(member->offset, member->size);
      all.push_back(
          member->name + " " +
          std::string(reinterpret_cast<const char*>(content.bytes.data()), content.bytes.size()));
    }
    return all;
  }
  /// The archive with a byte changed, or cut.
  static fs::path copy(const fs::path& from, const std::string& name) {
    const fs::path to = folder_.path() / name;
    fs::copy_file(from, to, fs::copy_options::overwrite_existing);
    return to;
  }
  inline static TempFolder folder_;
};

TEST_F(Tar, EveryFormat) {
  const std::string deep = std::string(60, 'd') + "/" + std::string(80, 'n') + ".jpg";
  const std::string longer = std::string(90, 'd') + "/" + std::string(150, 'n') + ".jpg";
  const auto python = [](const std::string& name, int size) {
    return "('" + name + "', " + std::to_string(size) + "), ";
  };
  const std::string some = python("a.jpg", 3) + python("b/é.json", 512) + python("empty", 0) +
                           python("c.bin", 513) + python(deep, 7);
  for (const char* format : {"USTAR", "GNU", "PAX"}) {
    const bool has_longer = std::string(format) != "USTAR";
    const auto all = members(make(std::string(format) + ".tar", format,
                                  "[" + some + (has_longer ? python(longer, 5) : "") + "]"));
    ASSERT_EQ(all.size(), has_longer ? 6u : 5u) << format;
    EXPECT_EQ(all[0], "a.jpg a.j");
    EXPECT_THAT(all[1], testing::StartsWith("b/é.json .json.json"));
    EXPECT_EQ(all[1].size(), std::string("b/é.json ").size() + 512);
    EXPECT_EQ(all[2], "empty ");
    EXPECT_EQ(all[3].size(), std::string("c.bin ").size() + 513);
    EXPECT_EQ(all[4], deep + " n.jpgn.");
    if (has_longer) EXPECT_EQ(all[5], longer + " n.jpg");
  }
}

TEST_F(Tar, CutAnywhere) {
  const fs::path whole = make("whole.tar", "GNU", "[('a.jpg', 600), ('b.jpg', 10)]");
  // Headers of folder, a and b, and their contents: 512, 512 + 1024, 512 + 512; then the link's.
  const auto cut = [&](int64_t size) {
    const fs::path file = copy(whole, "cut.tar");
    fs::resize_file(file, static_cast<uintmax_t>(size));
    const auto tar = std::make_shared<const TarFile>(file);
    TarReader reader(tar);
    std::string seen;
    const std::string error = [&]() -> std::string {
      try {
        while (const auto member = reader.next()) {
          seen += member->name + (member->is_whole ? " " : "! ");
          if (member->is_whole) continue;
          EXPECT_THAT(input_error([&] { tar->read(member->offset, member->size); }),
                      HasSubstr("the archive is cut short"));
        }
      } catch (const InputError& fault) {
        return fault.what();
      }
      return {};
    }();
    EXPECT_FALSE(reader.next());
    if (!error.empty()) {
      EXPECT_THAT(error, HasSubstr("cut.tar: byte "));
      EXPECT_THAT(error, HasSubstr("the archive is cut short"));
      seen += "cut";
    }
    return seen;
  };
  EXPECT_EQ(cut(0), "cut");
  EXPECT_EQ(cut(100), "cut");
  EXPECT_EQ(cut(512), "cut");
  EXPECT_EQ(cut(1024), "a.jpg! ");
  EXPECT_EQ(cut(1600), "a.jpg! ");
  EXPECT_EQ(cut(1623), "a.jpg! ");
  EXPECT_EQ(cut(2048), "a.jpg cut");  // between two members
  EXPECT_EQ(cut(2100), "a.jpg cut");
  EXPECT_EQ(cut(2569), "a.jpg b.jpg! ");
  EXPECT_EQ(cut(2570), "a.jpg b.jpg cut");
}

TEST_F(Tar, Damage) {
  const fs::path whole = make("good.tar", "GNU", "[('a.jpg', 600), ('b.jpg', 10)]");
  const fs::path damaged = copy(whole, "damaged.tar");
  std::fstream(damaged, std::ios::in | std::ios::out | std::ios::binary).seekp(2048 + 3).put('X');
  TarReader reader(std::make_shared<const TarFile>(damaged));
  EXPECT_EQ(reader.next()->name, "a.jpg");
  EXPECT_THAT(input_error([&] { reader.next(); }),
              HasSubstr("damaged.tar: byte 2048: expected a header of tar, got something else"));
  EXPECT_FALSE(reader.next());
  // Any byte of the headers: a right answer, an error, never more.
  for (int64_t at = 0; at < 2560; at += 7) {
    const fs::path file = copy(whole, "flipped.tar");
    std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(at).put('\xff');
    try {
      members(file);
    } catch (const InputError&) {
    }
  }
  write_file_atomic(folder_.path() / "zip.tar", "\x1f\x8b\x08 and so on");
  EXPECT_THAT(input_error([&] { TarFile(folder_.path() / "zip.tar"); }),
              HasSubstr("expected an uncompressed tar"));
  EXPECT_THAT(input_error([&] { TarFile(folder_.path() / "none.tar"); }), HasSubstr("none.tar"));
}

}  // namespace
}  // namespace caprl
