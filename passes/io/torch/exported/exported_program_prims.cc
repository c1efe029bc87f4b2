#include "passes/io/torch/exported/exported_program_prims.h"

#include <algorithm>
#include <map>

namespace lathe::io::exported {

using aten::Argument;
using aten::Arguments;
using aten::NamedArguments;

namespace {

struct Row {
  std::string name, overload;
  std::map<std::string, std::string> arguments;  // prims' name -> ATen's
};

const std::map<std::string, Row>& rows() {
  static const Row kReduction{"", "", {{"inp", "self"}, {"dims", "dim"}}};
  static const auto reduction = [](const char* name) {
    Row row = kReduction;
    row.name = name;
    return row;
  };
  static const std::map<std::string, Row> kRows{
      {"convert_element_type", {"to", "dtype", {{"a", "self"}}}},
      {"view_of", {"alias", "default", {{"a", "self"}}}},
      {"squeeze", {"squeeze", "dims", {{"a", "self"}, {"dimensions", "dim"}}}},
      {"transpose",
       {"permute", "default", {{"a", "self"}, {"permutation", "dims"}}}},
      {"where",
       {"where",
        "self",
        {{"pred", "condition"}, {"a", "self"}, {"b", "other"}}}},
      {"cat", {"cat", "default", {}}},
      {"reshape", {"reshape", "default", {{"a", "self"}}}},
      {"sum", reduction("sum")},
      {"amax", reduction("amax")},
      {"amin", reduction("amin")}};
  return kRows;
}

const Argument& find(const NamedArguments& arguments, const char* name) {
  static const Argument kAbsent;
  for (const auto& [key, argument] : arguments)
    if (key == name) return argument;
  return kAbsent;
}

// Each dimension of `a` stands at broadcast_dimensions[i] of `shape`: size 1
// between them, then expand.
AtenCallText broadcast_in_dim(const NamedArguments& arguments,
                              aten::OnnxBuilder& builder,
                              aten::Tracer& tracer) {
  Argument a = find(arguments, "a");
  const Argument& shape = find(arguments, "shape");
  const Argument& places = find(arguments, "broadcast_dimensions");
  if (!a.is_tensor() || !shape.is_list() || !places.is_list() ||
      !places.is_constant())
    builder.fail("expects a tensor and two lists");
  std::vector<int64_t> axes;
  for (size_t i = 0; i < shape.items.size(); ++i) {
    const auto axis = static_cast<int64_t>(i);
    if (std::ranges::none_of(places.items, [&](const Argument& place) {
          return place.integer == axis;
        }))
      axes.push_back(axis);
  }
  if (axes.size() + places.items.size() != shape.items.size())
    builder.fail(
        "argument 'broadcast_dimensions' names no dimensions of "
        "'shape'");
  for (const int64_t axis : axes)
    a = tracer
            .call("unsqueeze", "default",
                  {{"self", a}, {"dim", Argument::of_int(axis)}})
            .at(0);
  return {"expand", "default", {{"self", a}, {"size", shape}}};
}

}  // namespace

AtenCallText as_aten(const std::string& name, NamedArguments arguments,
                     aten::OnnxBuilder& builder, aten::Tracer& tracer) {
  if (name == "broadcast_in_dim")
    return broadcast_in_dim(arguments, builder, tracer);
  const auto found = rows().find(name);
  if (found == rows().end()) return {name, "", std::move(arguments)};
  for (auto& [key, argument] : arguments) {
    const auto renamed = found->second.arguments.find(key);
    if (renamed != found->second.arguments.end()) key = renamed->second;
  }
  return {found->second.name, found->second.overload, std::move(arguments)};
}

}  // namespace lathe::io::exported
