// TorchScript's source files, before LibTorch parses them.
#pragma once

#include <string>
#include <string_view>

namespace lathe::io {

// LibTorch's parser and compiler recurse over brackets, blocks, and the terms
// of an expression. Errors kInput with `where` and the line: brackets or
// blocks nested deeper than 200, an expression of more than 400 terms and
// operators that stand in each other, more than 200 elif, a string that does
// not end; kUnsupported for a class that runs code when it is loaded
// (__setstate__).
void check_torchscript_source(std::string_view source,
                              const std::string& where);

}  // namespace lathe::io
