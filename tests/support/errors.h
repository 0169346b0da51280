// What exceptions say.
#pragma once
#include <gmock/gmock.h>

#include <initializer_list>
#include <string>

#include "caprl/core/error.h"

namespace caprl {

/// The message of the E that `call` throws; no exception, or another one, fails the test.
template <class E, class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception than expected: " << error.what();
    return "";
  }
  ADD_FAILURE() << "no exception";
  return "";
}

template <class Call>
std::string input_error(Call&& call) {
  return message_of<InputError>(std::forward<Call>(call));
}

/// `call` must throw exactly an `E` whose message holds all `words`.
template <class E, class Call>
void expect_error(Call call, std::initializer_list<std::string> words) {
  try {
    call();
    ADD_FAILURE() << "no error; expected one with: " << testing::PrintToString(words);
  } catch (const Error& error) {
    EXPECT_EQ(typeid(error), typeid(E)) << error.what();
    for (const std::string& word : words) EXPECT_THAT(error.what(), testing::HasSubstr(word));
  }
}

}  // namespace caprl
