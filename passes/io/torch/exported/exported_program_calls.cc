// Operators of ATen and prims that need more than the table of emitters.
#include <fmt/format.h>

#include "passes/io/torch/exported/exported_program_prims.h"
#include "passes/io/torch/exported/exported_program_translator.h"

namespace lathe::io::exported {

using aten::Argument;
using aten::Arguments;
using aten::NamedArguments;
using ir::DataType;
using ir::Value;
using Kind = Argument::Kind;

namespace {

// Operators that check or print and compute nothing.
bool only_checks(const std::string& name) {
  return name == "_assert_async" || name == "_assert_scalar" ||
         name == "_assert_tensor_metadata" || name == "_print" ||
         name == "_functional_assert_async" ||
         name == "_functional_assert_scalar" ||
         name.starts_with("sym_constrain_range") ||
         name.starts_with("_functional_sym_constrain_range");
}

const Argument& find(const NamedArguments& arguments, std::string_view name) {
  static const Argument kAbsent;
  for (const auto& [key, argument] : arguments)
    if (key == name) return argument;
  return kAbsent;
}

}  // namespace

Arguments Translator::call_aten(const std::string& name,
                                const std::string& overload,
                                NamedArguments arguments) {
  if (only_checks(name)) return {};
  if (name == "item" || name == "_local_scalar_dense") return {item(arguments)};
  if (auto sizes = call_size(name, arguments)) return *std::move(sizes);
  return tracer_.call(name, overload, std::move(arguments));
}

std::optional<Arguments> Translator::call_size(
    const std::string& name, const NamedArguments& arguments) {
  if (!name.starts_with("sym_")) return std::nullopt;
  const Argument& self = find(arguments, "self");
  if (!self.is_tensor()) return std::nullopt;
  Value* tensor = tracer_.read(self);
  if (name == "sym_numel") return {{numbers_.element_count(tensor)}};
  if (name == "sym_storage_offset") return {{Argument::of_int(0)}};
  if (name != "sym_size" && name != "sym_stride") return std::nullopt;
  const int64_t rank = builder_.rank(tensor);
  // Tensors are contiguous here: a stride is the product of the sizes behind.
  const auto one = [&](int64_t axis) {
    if (name == "sym_size") return numbers_.size(tensor, axis);
    Argument stride = Argument::of_int(1);
    for (int64_t i = axis + 1; i < rank; ++i)
      stride =
          numbers_.call("_operator.mul", {stride, numbers_.size(tensor, i)});
    return stride;
  };
  const Argument& dim = find(arguments, "dim");
  if (dim.is_none()) {
    Arguments all;
    for (int64_t axis = 0; axis < rank; ++axis) all.push_back(one(axis));
    return {{Argument::list(std::move(all))}};
  }
  if (dim.kind != Kind::kInt || !dim.is_constant() || dim.integer < -rank ||
      dim.integer >= rank)
    builder_.fail(
        fmt::format("argument 'dim' is not an axis of a tensor of "
                    "rank {}",
                    rank));
  return {{one(dim.integer < 0 ? dim.integer + rank : dim.integer)}};
}

Argument Translator::item(const NamedArguments& arguments) {
  const Argument& self = find(arguments, "self");
  if (!self.is_tensor()) builder_.fail("argument 'self' must be a tensor");
  Value* value = tracer_.read(self);
  const DataType elem = builder_.elem(value);
  const Kind kind = elem == DataType::kBool       ? Kind::kBool
                    : builder_.is_floating(value) ? Kind::kFloat
                                                  : Kind::kInt;
  if (value->is_constant() && value->tensor().size() == 1) {
    const double number = value->tensor().to_doubles()[0];
    if (kind == Kind::kFloat) return Argument::of_float(number);
    const int64_t integer = value->tensor().to_int64s()[0];
    return kind == Kind::kBool ? Argument::of_bool(integer != 0)
                               : Argument::of_int(integer);
  }
  if (builder_.known_rank(value) != 0)
    value = builder_.reshape(value, std::vector<int64_t>{});
  if (kind == Kind::kInt) value = builder_.cast(value, DataType::kInt64);
  if (kind == Kind::kFloat) value = builder_.cast(value, DataType::kFloat);
  return Argument::computed(kind, value);
}

// What the program says of the operands and results of some operators.
void Translator::prepare(const std::string& name, const JsonField& node,
                         Frame& frame, NamedArguments& arguments) {
  if (name == "squeeze") settle_squeeze(node, frame, arguments);
  // What PyTorch 2.6 says of an LSTM's states has a dimension too many, and of
  // a quotient of integers with a symbolic shape that it is an integer. So has
  // what it says of all that follows from them.
  if (name == "lstm") trusts_shapes_ = false;
  if (name == "div" && divides_integers(arguments)) trusts_elements_ = false;
}

bool Translator::divides_integers(const NamedArguments& arguments) {
  const Argument self = tracer_.refreshed(find(arguments, "self"));
  const Argument other = tracer_.refreshed(find(arguments, "other"));
  if (self.is_none() || other.is_none()) return false;
  const DataType type = builder_.result_type({&self, &other});
  return find(arguments, "rounding_mode").is_none() &&
         (ir::is_integer(type) || type == DataType::kBool);
}

// Only axes of size 1 go. Which of the named ones these are was decided for
// symbolic sizes as well when the program was exported.
void Translator::settle_squeeze(const JsonField& node, Frame& frame,
                                NamedArguments& arguments) {
  const auto input = node.at("inputs").at(0).at("arg").find("as_tensor");
  if (!trusts_shapes_ || !input) return;
  const auto meta = frame.tensor_values.find(input->at("name").text());
  if (!meta) return;
  const JsonField sizes = meta->at("sizes");
  const auto rank = static_cast<int64_t>(sizes.size());
  const Argument named = find(arguments, "dim");
  Arguments axes;
  const auto add = [&](int64_t axis) {
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return;
    const auto size = sizes.at(static_cast<size_t>(axis)).find("as_int");
    if (size && size->integer() == 1) axes.push_back(Argument::of_int(axis));
  };
  if (named.is_none())
    for (int64_t axis = 0; axis < rank; ++axis) add(axis);
  else if (!named.is_list())
    add(named.integer);
  for (const Argument& axis : named.items) add(axis.integer);
  std::erase_if(arguments,
                [](const auto& entry) { return entry.first == "dim"; });
  arguments.emplace_back("dim", Argument::list(std::move(axes)));
}

Arguments Translator::call_prims(const std::string& name,
                                 const std::string& overload,
                                 NamedArguments arguments) {
  const auto same = as_aten(name, std::move(arguments), builder_, tracer_);
  return tracer_.call(same.name, same.name == name ? overload : same.overload,
                      same.arguments);
}

}  // namespace lathe::io::exported
