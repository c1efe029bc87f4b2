// What a call throws.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "passes/base/error.h"

namespace lathe::test {

// The whole message of the lathe::Error that `work` throws, which must be of
// the kind; "nothing thrown" when it throws none.
template <class F>
std::string error_of(ErrorKind kind, F&& work) {
  try {
    work();
  } catch (const Error& error) {
    CHECK(std::string(to_string(error.kind())) == to_string(kind));
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace lathe::test
