// The programs `caprl` and `caprl-train`, which is `caprl train`. Loading LibTorch takes a third of
// a second, so what needs none of it is answered here: help and version, which the build has asked
// of caprl-core. Everything else is caprl-core's, in place of this process. `caprl doctor` can so
// say why caprl-core does not start.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <help_pages.h>  // what caprl-core help-pages prints

namespace {

constexpr int kFailed = 1, kNotStarted = 127;  // the shell's and the dynamic linker's

/// The page of "config show --help", of "--version"; null of other command lines.
const HelpPage* find_page(const std::vector<std::string>& words) {
  if (words.empty()) return nullptr;
  std::string place;
  for (size_t i = 0; i + 1 < words.size(); ++i) place += (i == 0 ? "" : " ") + words[i];
  const std::string& last = words.back();
  if (last == "--version") place = last;
  if (last != "--version" && last != "--help" && last != "-h") return nullptr;
  for (const HelpPage& page : kHelpPages)
    if (place == page.place && (words.size() == 1 || last != "--version")) return &page;
  return nullptr;
}

std::filesystem::path core_path() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "caprl-core";
}

int say_why_not(const std::string& core) {
  std::fprintf(stderr, "error: %s cannot be started: %s; build it again, or install caprl anew\n",
               core.c_str(), std::strerror(errno));
  return kFailed;
}

/// Runs caprl-core and explains what the dynamic linker has said if it did not start.
int run_doctor(const std::string& core, char* const* arguments) {
  pid_t child = 0;
  if ((errno = ::posix_spawn(&child, core.c_str(), nullptr, nullptr, arguments, environ)) != 0)
    return say_why_not(core);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) != kNotStarted) return WEXITSTATUS(status);
  if (WIFSIGNALED(status))
    std::printf("  FAILED  start       caprl-core was ended by signal %d (%s)%s\n",
                WTERMSIG(status), ::strsignal(WTERMSIG(status)),
                WTERMSIG(status) == SIGILL
                    ? "; LibTorch was built for instructions that this CPU does not have"
                    : "");
  else
    std::printf(
        "  FAILED  start       caprl-core does not start: a library is missing (named above).\n"
        "                      A build uses the libraries of its checkout's .deps/: run "
        "tools/setup "
        "and build again.\n"
        "                      An installed bundle needs PyTorch 2.11 for CUDA 13: start "
        "bin/caprl, "
        "or name PyTorch's\n"
        "                      library folder in CAPRL_TORCH_LIB.\n");
  return kFailed;
}

/// Threads without work look for some for about 0.2 ms before they sleep. To sleep at once costs a
/// small model a third of its speed; the OpenMP library's own milliseconds take cores away from
/// whoever else uses the machine.
void choose_waiting() {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) ::setenv("GOMP_SPINCOUNT", "10000", 0);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  const std::string_view name = argv[0];
  if (name.ends_with("caprl-train")) words.insert(words.begin(), "train");
  if (const HelpPage* page = find_page(words)) {
    std::fputs(page->text, stdout);
    return 0;
  }
  choose_waiting();
  const std::string core = core_path().string();
  std::string program = "caprl";
  std::vector<char*> arguments = {program.data()};
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  if (!words.empty() && words[0] == "doctor") return run_doctor(core, arguments.data());
  ::execv(core.c_str(), arguments.data());
  return say_why_not(core);
}
