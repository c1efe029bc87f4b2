// ATen calls of a TorchScript program.
#include "passes/io/torch/script/script_importer.h"

namespace lathe::io::script {
namespace {

namespace jit = torch::jit;

ir::Shape image_shape(int64_t rank, std::optional<int64_t> channels) {
  static const char* const kSpatial[] = {"depth", "height", "width"};
  ir::Shape shape{ir::Dim::named("batch"),
                  channels ? ir::Dim(*channels) : ir::Dim::named("channels")};
  for (int64_t i = 2; i < rank; ++i)
    shape.push_back(ir::Dim::named(
        rank == 3 ? "length" : kSpatial[static_cast<size_t>(i + 3 - rank)]));
  return shape;
}

// " (rnn.py:812)": the line of Python that the node was made from.
std::string source_of(const jit::Node* node) {
  c10::optional<jit::SourceRange> range = node->sourceRange();
  if (const auto original = range->findSourceRangeThatGenerated())
    range = original;
  const auto place = range->file_line_col();
  if (!place) return "";
  const auto& [file, line, column] = *place;
  return " (" + file.substr(file.rfind('/') + 1) + ":" + std::to_string(line) +
         ")";
}

}  // namespace

Item ScriptImporter::from_argument(Argument argument) {
  if (!argument.is_list()) return Item::of(std::move(argument));
  std::vector<Item> items;
  for (Argument& item : argument.items)
    items.push_back(from_argument(std::move(item)));
  return Item::list_of(std::move(items), depth());
}

// An input whose shape nobody gave: the first layer tells its rank.
void ScriptImporter::learn_input(const std::string& name,
                                 const aten::NamedArguments& arguments) {
  auto tensor = [&](std::initializer_list<const char*> names) -> ir::Value* {
    for (const char* wanted : names)
      for (const auto& [key, argument] : arguments)
        if (key == wanted && argument.is_tensor())
          return tracer_.read(argument);
    return nullptr;
  };
  auto assume = [&](ir::Value* input, ir::Shape shape) {
    input->type.shape = std::move(shape);
    notes_.push_back("the shape of input '" + input->name() +
                     "' is not given; taken as " +
                     ir::to_string(*input->type.shape) +
                     " from the layer that reads it (--input-shape says more)");
  };
  ir::Value* input = tensor({"input", "self", "indices"});
  if (name == "embedding") input = tensor({"indices"});
  if (!input || !input->is_graph_input()) return;
  if (name == "embedding" && input->type.elem == ir::DataType::kFloat) {
    // What was written for a float before is written anew.
    if (!input->unused()) found_integers_.insert(input->name());
    input->type.elem = ir::DataType::kInt64;
  }
  if (input->type.shape) return;
  const ir::Value* weight = tensor({"weight"});
  const auto rank = weight ? builder_.known_rank(weight) : std::nullopt;
  if (name == "embedding")
    return assume(input, {ir::Dim::named("batch"), ir::Dim::named("sequence")});
  if (!rank) return;
  if (name.starts_with("conv") || name == "_convolution") {
    int64_t groups = 1;
    for (const auto& [key, argument] : arguments)
      if (key == "groups" && argument.is_constant()) groups = argument.integer;
    const auto per_group = builder_.known_dim(weight, 1);
    return assume(
        input, image_shape(*rank, per_group ? std::optional(*per_group * groups)
                                            : std::nullopt));
  }
  if (name == "linear") {
    const auto width = builder_.known_dim(weight, 1);
    assume(input, {ir::Dim::named("batch"),
                   width ? ir::Dim(*width) : ir::Dim::named("features")});
  }
}

void ScriptImporter::run_operator(jit::Node* node, Frame& frame) {
  if (run_on_stacked(node, frame) || run_on_list(node, frame) ||
      run_constant_operator(node, frame) || run_number_operator(node, frame))
    return;
  const std::string qualified = node->kind().toQualString();
  const c10::FunctionSchema* schema = node->maybeSchema();
  if (!schema || !node->kind().is_aten() ||
      node->inputs().size() > schema->arguments().size())
    fail("operator " + qualified + " has no translation to ONNX",
         "replace it in the model, or export with torch.onnx.export");
  aten::NamedArguments arguments;
  for (size_t i = 0; i < node->inputs().size(); ++i) {
    const Item& item = in(node, frame, i);
    if (item.kind == Item::Kind::kObject || item.kind == Item::Kind::kDict)
      fail(qualified + " is called with " + describe(item));
    if (item.list && item.list->stacked)
      fail(qualified + " is called on a list that a loop fills");
    arguments.emplace_back(schema->arguments()[i].name(), to_argument(item));
  }
  const std::string name = node->kind().toUnqualString();
  learn_input(name, arguments);
  const std::string outer_where = builder_.where;
  builder_.where += source_of(node);
  Arguments results =
      tracer_.call(name, schema->overload_name(), std::move(arguments));
  builder_.where = outer_where;
  if (results.size() < node->outputs().size())
    fail(qualified + " gives " + std::to_string(results.size()) +
         " results here, expected " + std::to_string(node->outputs().size()));
  for (size_t i = 0; i < node->outputs().size(); ++i)
    frame[node->output(i)] = from_argument(std::move(results[i]));
}

}  // namespace lathe::io::script
