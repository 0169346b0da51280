#include "tasks/item_progress.h"

#include <gtest/gtest.h>

#include <memory>

#include "caprl/core/files.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

/// A million items in a hundred seconds: a line every ten, and the last.
TEST(ItemProgress, ALogOfManyItemsIsShort) {
  const TempFolder folder;
  const auto file = folder / "log";
  const ItemProgress::Clock::time_point start;
  {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::fopen(file.c_str(), "w"),
                                                                 &std::fclose);
    ItemProgress progress(1000000, stream.get(), start);
    for (int64_t done = 1; done <= 1000000; ++done)
      progress.update(done, {}, start + std::chrono::microseconds(99 * done));
  }
  const std::string text = read_file(file);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_EQ(text.find("step 101011/1000000  left 0:01:29\n"), 0u) << text;
  EXPECT_TRUE(text.ends_with("step 1000000/1000000  left 0:00:00\n")) << text;
}

}  // namespace
}  // namespace caprl
