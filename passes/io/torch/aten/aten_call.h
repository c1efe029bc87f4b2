// One call of an ATen operator with its arguments by name, and the table of
// how each operator is written in ONNX.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "passes/io/torch/aten/argument.h"
#include "passes/io/torch/aten/onnx_builder.h"

namespace lathe::io::aten {

class AtenCall {
 public:
  // `name` without namespace and overload ("conv2d"), of an in-place operator
  // without its trailing underscore. Arguments by the names of the operator's
  // schema; those left out take the schema's defaults, which each emitter
  // states.
  AtenCall(std::string name, std::string overload,
           std::vector<std::pair<std::string, Argument>> arguments,
           OnnxBuilder& builder)
      : name_(std::move(name)),
        overload_(std::move(overload)),
        arguments_(std::move(arguments)),
        builder_(builder) {}

  const std::string& name() const { return name_; }
  const std::string& overload() const { return overload_; }  // may be empty
  OnnxBuilder& builder() const { return builder_; }

  // Absent ones read as none.
  const Argument& operator[](std::string_view argument) const;
  bool given(std::string_view argument) const {  // present and not None
    return !(*this)[argument].is_none();
  }

  // Each fails (kUnsupported, naming call and argument) when the argument is
  // of another kind, is not constant or, without a fallback, absent.
  ir::Value* tensor(std::string_view argument) const;
  ir::Value* tensor_or_null(std::string_view argument) const;
  std::vector<ir::Value*> tensors(std::string_view argument) const;
  int64_t integer(std::string_view argument) const;
  int64_t integer(std::string_view argument, int64_t fallback) const;
  double real(std::string_view argument) const;
  double real(std::string_view argument, double fallback) const;
  bool flag(std::string_view argument, bool fallback) const;
  std::string text(std::string_view argument,
                   const std::string& fallback) const;
  // A list of ints; a single int reads as a list of one.
  std::vector<int64_t> integers(std::string_view argument) const;
  std::vector<int64_t> integers(std::string_view argument,
                                std::vector<int64_t> fallback) const;
  // As integers, but one number stands for all `count` of them, and an absent
  // or empty list gives `fallback` that often.
  std::vector<int64_t> integers_n(std::string_view argument, size_t count,
                                  int64_t fallback) const;
  std::optional<ir::DataType> dtype(std::string_view argument) const;
  // An axis counted from the front; negative ones count from the end of
  // `rank`. Fails when out of range.
  int64_t axis(std::string_view argument, int64_t rank) const;
  int64_t axis(std::string_view argument, int64_t rank, int64_t fallback) const;
  // A list of axes (or one), sorted; absent, none or empty: `empty_means_all`
  // gives every axis.
  std::vector<int64_t> axes(std::string_view argument, int64_t rank,
                            bool empty_means_all) const;

  // Error kUnsupported: "aten::conv2d: <what>".
  [[noreturn]] void unsupported(const std::string& what,
                                const std::string& hint = "") const;

 private:
  std::string name_, overload_;
  std::vector<std::pair<std::string, Argument>> arguments_;
  OnnxBuilder& builder_;
};

struct AtenRow {
  const char* name;
  // Adds the nodes and returns the results, one for each of the schema's
  // returns (a returned list is one Argument of kind kList).
  Arguments (*emit)(const AtenCall&);
};

// Null when the operator is not in the table.
const AtenRow* find_aten(std::string_view name);
std::vector<std::string> all_aten_names();

// For emitters with one result.
inline Arguments one(ir::Value* value) { return {Argument::tensor(value)}; }

}  // namespace lathe::io::aten
