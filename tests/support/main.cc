#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>

int main(int argc, char** argv) {
  // A profile that a user stored for this machine must not change a test.
  ::setenv("XDG_DATA_HOME", "/nonexistent/lathe-tests", /*overwrite=*/1);
  doctest::Context context(argc, argv);
  return context.run();
}
