// The schema's tagged unions as arguments.
#include <fmt/format.h>

#include "passes/io/torch/exported/exported_program_translator.h"

namespace lathe::io::exported {

using aten::Argument;
using aten::Arguments;

namespace {

Argument device(const JsonField& field) {
  std::string text = field.at("type").text();
  if (const auto index = field.find("index"))
    text += ":" + std::to_string(index->integer());
  return Argument::of_string(std::move(text));
}

}  // namespace

Argument Translator::lookup(const JsonField& name, Frame& frame) {
  const auto found = frame.names.find(name.text());
  if (found != frame.names.end()) return found->second;
  if (frame.missing)
    if (const auto argument = frame.missing(name.text())) {
      frame.names.emplace(name.text(), *argument);
      return *argument;
    }
  name.fail(fmt::format("'{}' is used, but no node or input before gives it",
                        name.text()));
}

template <class Item>
Argument Translator::list(const JsonField& field, Item item) {
  Arguments items;
  for (const JsonField& element : field.items()) items.push_back(item(element));
  return Argument::list(std::move(items));
}

// {"as_name": …} or {"as_int": …} and the like.
Argument Translator::symbolic(const JsonField& field, Frame& frame) {
  const auto [kind, value] = field.variant();
  if (kind == "as_name") return lookup(value, frame);
  if (kind == "as_int") return Argument::of_int(value.integer());
  if (kind == "as_float") return Argument::of_float(value.real());
  if (kind == "as_bool") return Argument::of_bool(value.flag());
  field.fail_expected("as_name, as_int, as_float or as_bool");
}

Argument Translator::argument(const JsonField& field, Frame& frame) {
  const auto tensor = [&](const JsonField& f) {
    return lookup(f.at("name"), frame);
  };
  const auto optional_tensor = [&](const JsonField& f) {
    const auto [kind, value] = f.variant();
    return kind == "as_none" ? Argument::none() : tensor(value);
  };
  const auto integer = [](const JsonField& f) {
    return Argument::of_int(f.integer());
  };
  const auto real = [](const JsonField& f) {
    return Argument::of_float(f.real());
  };
  const auto flag = [](const JsonField& f) {
    return Argument::of_bool(f.flag());
  };
  const auto text = [](const JsonField& f) {
    return Argument::of_string(f.text());
  };
  const auto number = [&](const JsonField& f) { return symbolic(f, frame); };

  const auto [kind, value] = field.variant();
  if (kind == "as_tensor") return tensor(value);
  if (kind == "as_none") return Argument::none();
  if (kind == "as_int") return integer(value);
  if (kind == "as_ints") return list(value, integer);
  if (kind == "as_float") return real(value);
  if (kind == "as_floats") return list(value, real);
  if (kind == "as_bool") return flag(value);
  if (kind == "as_bools") return list(value, flag);
  if (kind == "as_string" || kind == "as_operator") return text(value);
  if (kind == "as_strings") return list(value, text);
  if (kind == "as_sym_int" || kind == "as_sym_float" || kind == "as_sym_bool")
    return number(value);
  if (kind == "as_sym_ints" || kind == "as_sym_floats" ||
      kind == "as_sym_bools")
    return list(value, number);
  if (kind == "as_tensors") return list(value, tensor);
  if (kind == "as_optional_tensors") return list(value, optional_tensor);
  if (kind == "as_optional_tensor") return optional_tensor(value);
  if (kind == "as_scalar_type")
    return Argument::of_int(torch_scalar_type(value));
  if (kind == "as_memory_format")
    return Argument::of_int(torch_memory_format(value));
  if (kind == "as_layout") return Argument::of_int(torch_layout(value));
  if (kind == "as_device") return device(value);
  builder_.fail(fmt::format("an argument of kind {} has no translation", kind));
}

}  // namespace lathe::io::exported
