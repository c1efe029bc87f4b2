// The program behind main(): finds the command, runs it, turns errors into
// messages and exit codes.
#pragma once

#include <string>
#include <vector>

namespace lathe::cli {

// `args`: without the program's name. Never throws; returns the exit code.
int run_program(const std::vector<std::string>& args);

}  // namespace lathe::cli
