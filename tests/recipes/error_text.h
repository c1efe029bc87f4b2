// What a call throws, as text.
#pragma once

#include <string>

#include "passes/base/error.h"

namespace lathe::test {

// The whole message of the lathe::Error that `call` throws; "(no error)" when
// it throws none.
template <class F>
std::string error_text(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "(no error)";
}

}  // namespace lathe::test
