// Fields that Lathe does not interpret, carried along as serialized bytes:
// those the linked message classes do not know, and those newer classes know
// but the graph has no place for. Both look the same here, so files round-trip
// with any version of the classes.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "passes/io/onnx/proto_fwd.h"

namespace lathe::io {

// Takes every field whose number is not in `handled` out of the message and
// returns them serialized.
std::string take_rest(google::protobuf::Message& message,
                      std::initializer_list<int> handled);
// Puts them back. Error kInternal when the bytes are not such fields.
void merge_rest(google::protobuf::Message& message, const std::string& rest);

// Removes the length-delimited fields of that number from serialized fields
// and returns their contents, in order.
std::vector<std::string> take_fields(std::string& rest, int number);
void append_field(std::string& rest, int number, std::string_view content);

// Whether a tensor anywhere in the message lives in an external file: such a
// message cannot be carried along as bytes.
bool has_external_data(const google::protobuf::Message& message);

}  // namespace lathe::io
