// Saving meets a fault at every single call that changes the file system.
#include <sys/resource.h>

#include <csignal>

#include "faulty_system.h"
#include "support.h"

namespace caprl {
namespace {

using namespace test;
namespace fs = std::filesystem;

constexpr int kMaxCalls = 500;

/// Two checkpoints, so that the third makes the first one go.
void prepare(const fs::path& root) {
  save_sample(root, 1);
  save_sample(root, 2);
}

/// What must hold whatever happened while step 3 was being saved. Returns the step that a resumed
/// run starts from.
int64_t expect_old_or_new(const fs::path& root) {
  const auto found = find_checkpoint(root);
  if (!found) {
    ADD_FAILURE() << "no checkpoint is left";
    return -1;
  }
  const int64_t step = verify_checkpoint(*found).step;
  EXPECT_TRUE(step == 2 || step == 3) << step;
  expect_sample(*found, step);
  // Every step folder is whole, not only the one that is found.
  for (const std::string& name : names_in(root))
    if (name.starts_with("step_")) {
      EXPECT_NO_THROW(verify_checkpoint(root / name));
    }
  EXPECT_TRUE(fs::exists(root / "step_000002"));
  return step;
}

void expect_next_save_is_clean(const fs::path& root, int64_t resumed_from) {
  const int64_t next = resumed_from + 1;
  save_sample(root, next);
  expect_sample(root / "latest", next);
  EXPECT_EQ(names_in(root), (std::set<std::string>{"latest", fmt::format("step_{:06}", next - 1),
                                                   fmt::format("step_{:06}", next)}));
}

class Crash : public testing::TestWithParam<Fault> {};

TEST_P(Crash, LosesNothingButTheStepsSince) {
  std::set<int64_t> found;
  int call = 0;
  for (bool died = true; died; ++call) {
    ASSERT_LT(call, kMaxCalls);
    SCOPED_TRACE(call);
    const MemoryFolder folder;
    prepare(folder.path());
    died = dies_in([&] { save_sample(folder.path(), 3); }, GetParam(), call);
    const int64_t step = expect_old_or_new(folder.path());
    EXPECT_TRUE(found.empty() || step >= *found.rbegin()) << "a later crash lost more";
    found.insert(step);
    expect_next_save_is_clean(folder.path(), step);
    if (HasFailure()) return;
  }
  EXPECT_EQ(found, (std::set<int64_t>{2, 3}));
  EXPECT_GT(call, 30);
}

INSTANTIATE_TEST_SUITE_P(AtEveryCall, Crash,
                         testing::Values(Fault::kKillBefore, Fault::kKillWithin,
                                         Fault::kLoseUnsynced),
                         [](const auto& info) {
                           return info.param == Fault::kKillBefore   ? "Killed"
                                  : info.param == Fault::kKillWithin ? "KilledWithinWrites"
                                                                     : "PowerCut";
                         });

TEST(FirstCrash, LeavesAWholeCheckpointOrNone) {
  std::set<bool> found;
  bool died = true;
  for (int call = 0; died; ++call) {
    ASSERT_LT(call, kMaxCalls);
    SCOPED_TRACE(call);
    const MemoryFolder folder;
    const fs::path root = folder / "checkpoints";
    died = dies_in([&] { save_sample(root, 1); }, Fault::kLoseUnsynced, call);
    const auto checkpoint = find_checkpoint(root);
    EXPECT_EQ(has_checkpoints(root), checkpoint.has_value());
    if (checkpoint) expect_sample(*checkpoint, 1);
    found.insert(checkpoint.has_value());
    if (HasFailure()) return;
  }
  EXPECT_EQ(found, (std::set<bool>{false, true}));
}

TEST(FullDisk, EveryFailedCallIsReportedAndLeavesTheOldOrTheNew) {
  int num_calls = kMaxCalls, num_errors = 0;
  for (int call = 0; call < num_calls; ++call) {
    SCOPED_TRACE(call);
    const MemoryFolder folder;
    prepare(folder.path());
    try {
      num_calls = static_cast<int>(
          observe([&] { save_sample(folder.path(), 3); }, Fault::kFail, call).size());
      expect_sample(folder / "step_000003", 3);
    } catch (const Error& error) {
      ++num_errors;
      EXPECT_THAT(error.what(), testing::HasSubstr(folder.path().string()));
      EXPECT_THAT(error.what(), testing::AnyOf(testing::HasSubstr("No space left on device"),
                                               testing::HasSubstr("Input/output error")));
      for (const std::string& name : names_in(folder.path()))
        EXPECT_FALSE(name.starts_with(".tmp-step")) << name;
    }
    expect_next_save_is_clean(folder.path(), expect_old_or_new(folder.path()));
    if (HasFailure()) return;
  }
  EXPECT_LT(num_calls, kMaxCalls);
  EXPECT_GT(num_errors, 20);
}

TEST(FullDisk, KernelRefusesTheBytes) {
  const MemoryFolder folder;
  prepare(folder.path());
  const auto previous_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit previous{};
  ::getrlimit(RLIMIT_FSIZE, &previous);
  const rlimit limit{2000, previous.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  expect_error<Error>([&] { save_sample(folder.path(), 3); }, {"model/weights", "File too large"});
  ::setrlimit(RLIMIT_FSIZE, &previous);
  std::signal(SIGXFSZ, previous_handler);
  EXPECT_EQ(names_in(folder.path()),
            (std::set<std::string>{"latest", "step_000001", "step_000002"}));
  expect_sample(folder / "latest", 2);
}

/// What is not yet safe on disk after the calls so far.
class Unsynced {
 public:
  void apply(const Call& call) {
    const std::string folder = fs::path(call.path).parent_path().string();
    if (call.name == "write") paths_.insert(call.path);
    if (call.name == "create" || call.name == "mkdir" || call.name == "symlink")
      paths_.insert(folder);
    if (call.name == "fsync") paths_.erase(call.path);
    if (call.name == "rename") {
      std::set<std::string> moved;
      for (const std::string& path : paths_)
        moved.insert(path.starts_with(call.path) ? call.target + path.substr(call.path.size())
                                                 : path);
      paths_ = std::move(moved);
      paths_.insert(folder);
      paths_.insert(fs::path(call.target).parent_path().string());
    }
  }
  std::vector<std::string> below(const std::string& folder) const {
    std::vector<std::string> found;
    for (const std::string& path : paths_)
      if (path.starts_with(folder)) found.push_back(path);
    return found;
  }

 private:
  std::set<std::string> paths_;
};

TEST(Order, SyncsBeforeTheRenameAndDeletesAfterIt) {
  const MemoryFolder folder;
  const std::string root = fs::canonical(folder.path()).string();
  prepare(root);
  const std::vector<Call> calls = observe([&] { save_sample(root, 3); });
  Unsynced unsynced;
  bool exists = false, deleted = false;
  for (const Call& call : calls) {
    if (call.name == "rename" && call.target == root + "/step_000003") {
      exists = true;
      EXPECT_THAT(unsynced.below(root + "/.tmp-step_000003"), testing::IsEmpty());
    }
    if (call.path.starts_with(root + "/step_000001")) {
      EXPECT_EQ(call.name, "rename") << "a step folder must vanish at once";
      EXPECT_TRUE(exists);
      EXPECT_THAT(unsynced.below(root), testing::IsEmpty()) << "deleted before the new one is safe";
      deleted = true;
    }
    unsynced.apply(call);
  }
  EXPECT_TRUE(exists && deleted);
}

}  // namespace
}  // namespace caprl
