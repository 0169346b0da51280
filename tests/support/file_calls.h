// Calls that change the file system, on the way to the C library. The definitions in file_calls.cpp
// take the place of the C library's for all code of the program that they are linked or preloaded
// into, the C++ library's included, so that nothing under test knows of it.
#pragma once
#include <functional>
#include <string>

namespace caprl::test {

struct Call {
  std::string name;  // "write", "fsync", "create", "rename", …
  std::string path;
  std::string target;  // of a rename
};

class CallObserver {
 public:
  virtual ~CallObserver() = default;
  /// True: the call fails with `error` as errno. May not return. `half` lets half of a write
  /// through.
  virtual bool fails(const Call& call, int error, const std::function<void()>& half) = 0;
  virtual void will_write(int fd) {}
  virtual void has_synced(int fd) {}
};

/// Of all calls from now on; null: none.
void set_call_observer(CallObserver* observer);

}  // namespace caprl::test
