// What stands as an argument or a result of an ATen call while a PyTorch
// program is translated: a tensor of the ONNX graph, or a number, a text or a
// list as far as it is known without running.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::io::aten {

struct Cell;  // passes/io/torch/aten/tracer.h

struct Argument {
  enum class Kind { kNone, kTensor, kInt, kFloat, kBool, kString, kList };

  Kind kind = Kind::kNone;
  // kTensor: the tensor. kInt, kFloat, kBool: a scalar (int64, float, bool)
  // that the graph computes; null for a constant, which is below.
  ir::Value* value = nullptr;
  int64_t integer = 0;          // kInt; kBool: 0 or 1
  double real = 0;              // kFloat
  std::string text;             // kString
  std::vector<Argument> items;  // kList, tuples included
  // Identity of a tensor under in-place operators; set and read by Tracer
  // only. Emitters look at `value`.
  std::shared_ptr<Cell> cell;

  static Argument none() { return {}; }
  static Argument tensor(ir::Value* value);
  static Argument of_int(int64_t value);
  static Argument of_float(double value);
  static Argument of_bool(bool value);
  static Argument of_string(std::string value);
  static Argument list(std::vector<Argument> items);
  static Argument list(const std::vector<int64_t>& items);
  // A scalar that the graph computes, of kind kInt, kFloat or kBool.
  static Argument computed(Kind kind, ir::Value* value);

  bool is_none() const { return kind == Kind::kNone; }
  bool is_tensor() const { return kind == Kind::kTensor; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_number() const {
    return kind == Kind::kInt || kind == Kind::kFloat || kind == Kind::kBool;
  }
  // Known without running. Lists: every item.
  bool is_constant() const;
  // The constant number as a double; is_number() and is_constant() must hold.
  double number() const;
};

using Arguments = std::vector<Argument>;

// "tensor", "int", "list of int", … for messages.
std::string describe(const Argument& argument);

// PyTorch's ScalarType numbers (uint8 0, int8 1, int16 2, int32 3, int64 4,
// half 5, float 6, double 7, bool 11, bfloat16 15) as element types; nullopt
// for those ONNX lacks.
std::optional<ir::DataType> data_type_from_torch(int64_t scalar_type);
int64_t torch_from_data_type(ir::DataType type);

}  // namespace lathe::io::aten
