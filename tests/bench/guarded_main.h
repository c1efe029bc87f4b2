// What every benchmark's main() does with errors.
#pragma once

#include <fmt/format.h>

#include <exception>

namespace lathe::bench {

// run(argc, argv), or 1 and the message on stderr behind the program's name.
inline int guarded_main(const char* name, int (*run)(int, char**), int argc,
                        char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return 1;
  }
}

}  // namespace lathe::bench
