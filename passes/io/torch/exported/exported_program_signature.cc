#include "passes/io/torch/exported/exported_program_signature.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::io::exported {

using aten::Argument;
using ir::Value;
using ir::ValueType;

namespace {

JsonField graph_module(const ExportedArchive& archive) {
  return archive.program().at("graph_module");
}

// Counts how often batch norm ran; nothing reads it in a network that is used.
bool is_counter(const std::string& name) {
  return name.ends_with("num_batches_tracked");
}

std::string python_text(const std::string& kind, const JsonField& value) {
  if (kind == "as_none") return "None";
  if (kind == "as_bool") return value.flag() ? "True" : "False";
  if (kind == "as_int") return std::to_string(value.integer());
  if (kind == "as_float") return fmt::format("{}", value.real());
  if (kind == "as_string") return "'" + value.text() + "'";
  value.fail_expected("a number, a text or None");
}

}  // namespace

ProgramTranslation::ProgramTranslation(ExportedArchive& archive,
                                       const ImportOptions& options,
                                       std::set<std::string> state)
    : archive_(archive),
      options_(options),
      state_(std::move(state)),
      builder_(imported_.model),
      signature_(graph_module(archive).at("signature")),
      frame_(graph_module(archive).at("graph")),
      translator_(builder_, symbols_, archive.where()) {
  imported_.model.producer_name = "lathe";
  imported_.model.graph->name = "main";
  imported_.no_reference_reason =
      "a torch.export program cannot be run by the linked LibTorch";
  builder_.where = archive.where();
  frame_.missing = [this](const std::string& name) { return weight(name); };
}

std::set<std::string> ProgramTranslation::run() {
  add_inputs();
  bind_shapes();
  translator_.run_nodes(frame_);
  add_outputs();
  find_writes();
  // After what the model is for.
  for (const Next& next : next_) {
    give(next.value, next.name + "_next");
    imported_.notes.push_back(
        fmt::format("{} '{}' is changed by the program: its new value is "
                    "output '{}_next'",
                    next.what, next.name, next.name));
  }
  if (imported_.model.graph->outputs().empty())
    builder_.fail("the program gives no tensor");
  return changed_;
}

Imported ProgramTranslation::take_result() { return std::move(imported_); }

void ProgramTranslation::add_inputs() {
  const auto specs = signature_.find("input_specs");
  if (!specs)
    signature_.fail(
        "the key \"input_specs\" is missing, as in programs of "
        "PyTorch 2.1",
        "export the model again with PyTorch 2.2 or later");
  for (const JsonField& spec : specs->items()) add_input(spec);
}

void ProgramTranslation::add_input(const JsonField& spec) {
  const auto [kind, field] = spec.variant();
  if (kind == "user_input") return add_user_input(field.at("arg"));
  if (kind == "token") return;
  if (kind == "constant_input") {
    const auto [type, value] = field.at("value").variant();
    imported_.notes.push_back(
        fmt::format("input '{}' is {}, as the program was exported with it",
                    field.at("name").text(), python_text(type, value)));
    return;
  }
  if (kind == "custom_obj")
    builder_.fail(
        fmt::format("the program uses '{}', an object of a class of "
                    "its own",
                    field.at("custom_obj_name").text()));
  const char* name_key = kind == "parameter" ? "parameter_name"
                         : kind == "buffer"  ? "buffer_name"
                                             : "tensor_constant_name";
  if (kind != "parameter" && kind != "buffer" && kind != "tensor_constant")
    spec.fail(fmt::format("an input of kind {} is not known", kind));
  weights_[field.at("arg").at("name").text()].name = field.at(name_key).text();
}

void ProgramTranslation::add_user_input(const JsonField& field) {
  const auto [kind, value] = field.variant();
  UserInput input;
  if (kind == "as_tensor") {
    input.name = value.at("name").text();
    const JsonField meta = frame_.tensor_values.at(input.name);
    const auto layout = meta.find("layout");
    if (layout && torch_layout(*layout) != 0)
      layout->fail(
          fmt::format("input '{}' is a sparse tensor, which has no "
                      "translation",
                      input.name));
    name_batch(meta);
    input.initial =
        builder_.main_graph().add_input(input.name, symbols_.value_type(meta));
    input.argument = translator_.tracer().wrap(input.initial);
  } else if (kind.starts_with("as_sym_") && value.find("as_name")) {
    using Kind = Argument::Kind;
    const Kind number = kind == "as_sym_int"     ? Kind::kInt
                        : kind == "as_sym_float" ? Kind::kFloat
                                                 : Kind::kBool;
    ValueType type;
    type.elem = number == Kind::kInt     ? ir::DataType::kInt64
                : number == Kind::kFloat ? ir::DataType::kFloat
                                         : ir::DataType::kBool;
    type.shape.emplace();
    input.name = value.at("as_name").text();
    input.initial = builder_.main_graph().add_input(input.name, type);
    input.argument = Argument::computed(number, input.initial);
  } else {
    imported_.notes.push_back(
        fmt::format("an input without a name is {}, as the program was "
                    "exported with it",
                    python_text(kind, value)));
    return;
  }
  frame_.names[input.name] = input.argument;
  user_inputs_.push_back(std::move(input));
}

// The symbol of the first input's first dimension is the batch.
void ProgramTranslation::name_batch(const JsonField& tensor_meta) {
  if (!user_inputs_.empty()) return;
  const JsonField sizes = tensor_meta.at("sizes");
  if (sizes.size() == 0) return;
  const ir::Dim first = symbols_.dim(sizes.at(0));
  if (!first.known() && !first.symbol.empty())
    symbols_.rename(first.symbol, "batch");
}

void ProgramTranslation::bind_shapes() {
  if (options_.input_shapes.empty()) return;
  std::vector<std::pair<const Value*, ir::Shape>> before;
  for (const UserInput& input : user_inputs_)
    before.emplace_back(input.initial, *input.initial->type.shape);
  ir::bind_input_shapes(imported_.model, options_.input_shapes);
  for (const auto& [value, shape] : before)
    for (size_t i = 0; i < shape.size(); ++i) {
      const ir::Dim& bound = (*value->type.shape)[i];
      if (!shape[i].known() && !shape[i].symbol.empty() && bound.known())
        symbols_.bind_name(shape[i].symbol, bound.value);
    }
}

std::optional<Argument> ProgramTranslation::weight(
    const std::string& node_name) {
  const auto found = weights_.find(node_name);
  if (found == weights_.end()) return std::nullopt;
  Weight& weight = found->second;
  if (weight.argument.is_none()) {
    weight.argument = load_weight(weight.name);
    weight.initial = weight.argument.value;
  }
  return weight.argument;
}

Argument ProgramTranslation::load_weight(const std::string& name) {
  const ir::Tensor tensor = archive_.weight(name);
  const bool shared = tensor.size() > 0;
  const auto key = std::tuple(static_cast<const void*>(tensor.bytes().data()),
                              static_cast<int>(tensor.type()), tensor.dims());
  if (shared)
    if (const auto tied = tied_.find(key); tied != tied_.end())
      return tied->second;
  Value* value = nullptr;
  if (state_.contains(name)) {
    ir::Graph& graph = builder_.main_graph();
    value = graph.add_input(graph.unique_name(name), {});
    value->set_tensor(tensor);
  } else {
    value = builder_.weight(name, tensor);
  }
  const Argument argument = translator_.tracer().wrap(value);
  if (shared) tied_.emplace(key, argument);
  return argument;
}

void ProgramTranslation::add_outputs() {
  const std::vector<JsonField> specs = signature_.at("output_specs").items();
  for (size_t i = 0; i < specs.size(); ++i) add_output(specs[i], i);
}

void ProgramTranslation::add_output(const JsonField& spec, size_t index) {
  const auto [kind, field] = spec.variant();
  if (kind == "user_output") return add_user_output(field.at("arg"), index);
  if (kind == "token") return;
  if (kind == "loss_output")
    return give(translator_.as_value(
                    translator_.lookup(field.at("arg").at("name"), frame_)),
                field.at("arg").at("name").text());
  if (kind == "buffer_mutation") return add_mutation(field, "buffer_name");
  if (kind == "parameter_mutation")
    return add_mutation(field, "parameter_name");
  if (kind == "user_input_mutation")
    return give_next(field.at("user_input_name").text(),
                     translator_.as_value(translator_.lookup(
                         field.at("arg").at("name"), frame_)),
                     "input");
  if (kind == "gradient_to_parameter" || kind == "gradient_to_user_input")
    builder_.fail("the program computes gradients, which has no translation",
                  "export the model without its backward pass");
  spec.fail(fmt::format("an output of kind {} is not known", kind));
}

void ProgramTranslation::add_user_output(const JsonField& field, size_t index) {
  const auto [kind, value] = field.variant();
  if (kind == "as_none" || kind == "as_string") {
    imported_.notes.push_back(fmt::format("output {} is always {} and left out",
                                          index, python_text(kind, value)));
    return;
  }
  std::string name = fmt::format("output_{}", index);
  if (const auto tensor = value.is_object() ? value.find("name") : std::nullopt)
    name = tensor->text();
  else if (value.is_object())
    if (const auto symbolic = value.find("as_name")) name = symbolic->text();
  give(translator_.as_value(translator_.argument(field, frame_)), name);
}

// Values that a graph takes in or holds, or gives already, go through an
// Identity.
void ProgramTranslation::give(Value* value, const std::string& name) {
  ir::Graph& graph = builder_.main_graph();
  if (!value->producer() || value->is_graph_output()) {
    value = builder_.op("Identity", {value});
    value->producer()->name = name + "/Identity";
  }
  Value* taken = graph.find(name);
  if (taken && taken != value && taken->producer() && !taken->is_graph_output())
    graph.rename(taken, graph.unique_name(name + "_inner"));
  if (value->name() != name) graph.rename(value, graph.unique_name(name));
  graph.add_output(value);
}

void ProgramTranslation::give_next(const std::string& name, Value* value,
                                   const char* what) {
  if (given_.insert(name).second) next_.push_back({name, value, what});
}

void ProgramTranslation::add_mutation(const JsonField& spec,
                                      const char* name_key) {
  const std::string& name = spec.at(name_key).text();
  if (is_counter(name)) return;
  if (std::ranges::none_of(weights_, [&](const auto& entry) {
        return entry.second.name == name;
      }))
    spec.at(name_key).fail(fmt::format("no input is named '{}'", name));
  const Argument next = translator_.lookup(spec.at("arg").at("name"), frame_);
  if (state_.contains(name))
    give_next(name, translator_.as_value(next), "state");
  else
    changed_.insert(name);
}

// What in-place operators did that the signature does not say.
void ProgramTranslation::find_writes() {
  for (const UserInput& input : user_inputs_)
    if (Value* now = translator_.as_value(input.argument); now != input.initial)
      give_next(input.name, now, "input");
  std::vector<const Weight*> used;
  for (const auto& [node_name, weight] : weights_)
    if (!weight.argument.is_none() && !is_counter(weight.name))
      used.push_back(&weight);
  std::ranges::sort(used, {}, &Weight::name);
  std::set<const aten::Cell*> seen;
  for (const Weight* weight : used) {
    if (!seen.insert(weight->argument.cell.get()).second) continue;
    Value* now = translator_.as_value(weight->argument);
    if (now == weight->initial) continue;
    if (state_.contains(weight->name))
      give_next(weight->name, now, "state");
    else
      changed_.insert(weight->name);
  }
}

}  // namespace lathe::io::exported
