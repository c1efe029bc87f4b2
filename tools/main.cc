#include <string>
#include <vector>

#include "tools/program.h"

int main(int argc, char** argv) {
  // argc may be 0.
  return lathe::cli::run_program(
      std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
