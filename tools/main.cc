#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tools/program.h"

int main(int argc, char** argv) {
  // argc may be 0.
  const int code = lathe::cli::run_program(
      std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
  // All that is to be kept is written and scratch is gone; what remains is some
  // 300 libraries that would tidy up memory, which takes 0.1 s.
  std::fflush(nullptr);
  std::_Exit(code);
}
