// The store as c10d knows it, and c10d's errors as the project's.
#pragma once
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <exception>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "caprl/core/error.h"
#include "caprl/dist/store.h"

namespace caprl {

struct RunStore::Impl {
  c10::intrusive_ptr<c10d::Store> store;
  std::string lost;  // what it means that a call fails
};

/// The first line of what c10d says: the rest are its own source lines.
inline std::string first_line(const std::string& message) {
  return message.substr(0, message.find('\n'));
}

/// What `work` gives; c10d's exceptions become Error("WHAT: …").
template <class Work>
decltype(auto) with_c10d(const std::string& what, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const Error&) {
    throw;
  } catch (const c10::Error& error) {
    throw Error("{}: {}", what, first_line(error.what_without_backtrace()));
  } catch (const std::exception& error) {
    throw Error("{}: {}", what, first_line(error.what()));
  }
}

}  // namespace caprl
