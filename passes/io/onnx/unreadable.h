// What a file that is no ONNX model probably is.
#pragma once

#include <string>
#include <string_view>

namespace lathe::io {

// Throws kInput: "is not a readable ONNX <thing>" with what the bytes look
// like and what to do.
[[noreturn]] void throw_unreadable(std::string_view bytes,
                                   const std::string& where,
                                   const char* thing = "model");

}  // namespace lathe::io
