// The static type of a value: element type and a shape that may be partly or
// wholly unknown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "passes/ir/data_type.h"

namespace lathe::ir {

// One dimension: a number, a symbol ("batch"), or unknown (neither).
struct Dim {
  int64_t value = -1;  // >= 0 when known
  std::string symbol;
  std::string denotation;  // as the file has it, kept for the round trip

  Dim() = default;
  Dim(int64_t known) : value(known) {}  // NOLINT: dims read as numbers
  static Dim named(std::string name) {
    Dim dim;
    dim.symbol = std::move(name);
    return dim;
  }
  bool known() const { return value >= 0; }
  // Known and equal, or the same symbol.
  bool same_as(const Dim& other) const {
    return known()
               ? value == other.value
               : !symbol.empty() && !other.known() && symbol == other.symbol;
  }
};

using Shape = std::vector<Dim>;

// Every dimension known.
bool is_static(const Shape& shape);
// The dimensions as numbers, -1 for the unknown ones.
std::vector<int64_t> to_dims(const Shape& shape);
Shape to_shape(const std::vector<int64_t>& dims);
// "1x3x224x224", "batchx10", "?x3"; "scalar" for rank 0.
std::string to_string(const Shape& shape);

struct ValueType {
  DataType elem = DataType::kUndefined;
  std::optional<Shape> shape;  // absent: rank unknown
  // For sequences, maps, optionals and sparse tensors: the serialized
  // TypeProto, and elem stays undefined.
  std::string opaque;
  std::string denotation;

  bool is_tensor() const { return opaque.empty(); }
  bool has_static_shape() const { return shape && is_static(*shape); }
  // Elements; nullopt when any dimension is unknown.
  std::optional<int64_t> element_count() const;
};

// "float[1,3,N]", "int64[]", "float" (rank unknown), "?" (nothing known).
std::string to_string(const ValueType& type);

}  // namespace lathe::ir
