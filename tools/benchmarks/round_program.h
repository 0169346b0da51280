// What the programs of tools/bench have in common: a line on stdin asks for one round, the answer
// is its seconds.
#pragma once
#include <chrono>
#include <exception>
#include <iostream>
#include <string>

#include "caprl/core/error.h"

namespace caprl {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

template <class Round>
void answer_rounds(Round round) {
  for (std::string line; std::getline(std::cin, line);) {
    const auto start = Clock::now();
    round();
    std::cout << seconds_since(start) << std::endl;
  }
}

template <class Program>
int run_round_program(int argc, char** argv, Program program) {
  try {
    return program(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
  }
}

}  // namespace caprl
