// Property: what fold_constants computes is what the runtime computes. Random
// nodes on random constants, each alone and then chained in one graph.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <optional>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/rewrite/rewrite_test_support.h"

namespace lathe::rewrite {
namespace {

using ir::DataType;
using ir::Tensor;

constexpr double kTolerance = 1e-5;

std::vector<int64_t> random_dims(Random& random) {
  static const std::vector<std::vector<int64_t>> kDims = {
      {},     {1},    {3},       {4},       {2, 3},    {1, 3},
      {3, 1}, {3, 3}, {2, 1, 3}, {4, 2, 3}, {1, 1, 1}, {2, 0, 3}};
  return kDims[random.below(kDims.size())];
}

Tensor random_tensor(Random& random, DataType type) {
  std::vector<int64_t> dims = random_dims(random);
  std::vector<double> values(ir::element_count(dims, "test"));
  for (double& value : values)
    value = ir::is_floating(type) ? random.uniform(-3, 3)
                                  : std::floor(random.uniform(-4, 5));
  return Tensor::from_doubles(type, dims, values);
}

Tensor ints(std::vector<int64_t> values) { return Tensor::vector_i64(values); }

// A list of `count` integers in [low, high].
Tensor random_ints(Random& random, size_t count, int64_t low, int64_t high) {
  std::vector<int64_t> values(count);
  for (int64_t& value : values)
    value = low + static_cast<int64_t>(
                      random.below(static_cast<uint64_t>(high - low + 1)));
  return ints(values);
}

// The runtime's answer, as text.
std::string values_text(const Tensor& tensor) {
  ir::Model model;
  model.graph->add_initializer("runtime", tensor);
  return ir::to_text(model);
}

// One node, its constant inputs, its number of outputs.
struct Case {
  std::string op;
  std::vector<Tensor> inputs;
  std::vector<std::pair<std::string, int64_t>> attributes;
  std::vector<int64_t> perm;
  size_t outputs = 1;
};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {
    for (int i = 0; i < 12; ++i) {
      pool_.push_back(random_tensor(random_, DataType::kFloat));
      pool_.push_back(random_tensor(random_, DataType::kInt64));
      pool_.push_back(random_tensor(random_, DataType::kInt32));
      pool_.push_back(random_tensor(random_, DataType::kBool));
    }
  }

  void keep(const Tensor& tensor) {
    if (tensor.size() > 64) return;
    // float16 stays out: few of the runtime's CPU kernels take it.
    if (tensor.type() == DataType::kFloat16) return;
    pool_[random_.below(pool_.size())] = tensor;
  }

  Case next(const std::string& op) {
    Case made{.op = op, .inputs = {}, .attributes = {}, .perm = {}};
    static const std::vector<std::string> kLogic = {"And", "Or", "Xor", "Not"};
    static const std::vector<std::string> kFloats = {
        "Ceil",  "Cos", "Exp",  "Floor", "Log", "Reciprocal",
        "Round", "Sin", "Sqrt", "Tanh",  "Relu"};
    auto is_one_of = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), op) != names.end();
    };
    DataType type = is_one_of(kLogic)    ? DataType::kBool
                    : is_one_of(kFloats) ? DataType::kFloat
                                         : number_type();
    Tensor x = pick(type);
    int64_t rank = x.rank();
    made.inputs = {x};
    auto axis = [&] { return between(-rank, std::max<int64_t>(rank - 1, 0)); };
    if (op == "Mod" && ir::is_floating(type)) made.attributes = {{"fmod", 1}};
    if (op == "Mod" && !ir::is_floating(type))
      made.attributes = {{"fmod", between(0, 1)}};
    if (op == "Add" || op == "Sub" || op == "Mul" || op == "Div" ||
        op == "Mod" || op == "Pow" || op == "Equal" || op == "Less" ||
        op == "Greater" || op == "LessOrEqual" || op == "GreaterOrEqual" ||
        op == "And" || op == "Or" || op == "Xor" || op == "Min" || op == "Max")
      made.inputs.push_back(pick(type));
    if (op == "Pow" && !ir::is_floating(type)) made.inputs[1] = exponent(type);
    if (op == "Cast") {
      static const int64_t kTargets[] = {1, 6, 7, 9, 10, 11, 3, 2};
      made.attributes = {{"to", kTargets[random_.below(8)]}};
    }
    if (op == "Where") made.inputs = {pick(DataType::kBool), x, pick(type)};
    if (op.starts_with("Reduce")) {
      made.inputs.push_back(ints({axis()}));
      made.attributes = {{"keepdims", between(0, 1)}};
    }
    if (op == "Transpose") {
      for (int64_t i = 0; i < rank; ++i) made.perm.push_back(i);
      random_.shuffle(made.perm);
    }
    if (op == "Reshape")
      made.inputs.push_back(rank == 2 ? ints({0, 1, -1}) : ints({-1}));
    if (op == "Flatten") made.attributes = {{"axis", between(-rank, rank)}};
    if (op == "Squeeze" && random_.below(2) == 0)
      made.inputs.push_back(ints({axis()}));
    if (op == "Unsqueeze")
      made.inputs.push_back(ints({between(-rank - 1, rank)}));
    if (op == "Expand") {
      std::vector<int64_t> target = x.dims();
      for (int64_t& dim : target)
        if (dim == 1 && random_.below(2)) dim = 3;
      if (random_.below(2)) target.insert(target.begin(), 2);
      made.inputs.push_back(ints(target));
    }
    if (op == "Tile")
      made.inputs.push_back(
          random_ints(random_, static_cast<size_t>(rank), 0, 2));
    if (op == "Concat") {
      made.inputs.push_back(x);
      made.attributes = {{"axis", axis()}};
    }
    if (op == "Split") {
      made.attributes = {{"axis", axis()}, {"num_outputs", 2}};
      made.outputs = 2;
    }
    if (op == "Slice") {
      made.inputs.push_back(random_ints(random_, 1, -5, 5));
      made.inputs.push_back(random_ints(random_, 1, -5, 5));
      made.inputs.push_back(ints({axis()}));
      made.inputs.push_back(
          ints({random_.below(2) ? between(1, 2) : between(-2, -1)}));
    }
    if (op == "Pad") {
      made.inputs.push_back(
          random_ints(random_, static_cast<size_t>(2 * rank), -1, 2));
      if (random_.below(2))
        made.inputs.push_back(Tensor::from_doubles(type, {}, kFive));
    }
    if (op == "Trilu") {
      made.inputs.push_back(Tensor::scalar<int64_t>(between(-2, 2)));
      made.attributes = {{"upper", between(0, 1)}};
    }
    if (op == "Gather") {
      made.inputs.push_back(random_ints(random_, 2, -1, 1));
      made.attributes = {{"axis", axis()}};
    }
    if (op == "GatherND")
      made.inputs.push_back(random_ints(random_, 4, -1, 0).reshaped({2, 2}));
    if (op == "ScatterND" && rank >= 1) {
      std::vector<int64_t> dims(x.dims().begin() + 1, x.dims().end());
      dims.insert(dims.begin(), 1);
      made.inputs.push_back(ints({0}).reshaped({1, 1}));
      made.inputs.push_back(Tensor::zeros(type, dims));
    }
    if (op == "Range")
      made.inputs = {number(type, -5, 5), number(type, -5, 9),
                     number(type, -2, 2)};
    if (op == "ConstantOfShape")
      made.inputs = {random_ints(random_, random_.below(3), 0, 3)};
    return made;
  }

 private:
  static inline const std::vector<double> kFive = {5};

  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(
                     random_.below(static_cast<uint64_t>(high - low + 1)));
  }
  DataType number_type() {
    static const DataType kTypes[] = {DataType::kFloat, DataType::kInt64,
                                      DataType::kInt32};
    return kTypes[random_.below(3)];
  }
  Tensor number(DataType type, int64_t low, int64_t high) {
    double value = static_cast<double>(between(low, high));
    return Tensor::from_doubles(type, {}, {&value, 1});
  }
  Tensor exponent(DataType type) { return number(type, 0, 3); }
  Tensor pick(DataType type) {
    for (int tries = 0; tries < 200; ++tries) {
      const Tensor& tensor = pool_[random_.below(pool_.size())];
      if (tensor.type() == type) return tensor;
    }
    return random_tensor(random_, type);
  }

  Random random_;
  std::vector<Tensor> pool_;
};

ir::Node* add_node(ir::Model& model, const Case& made,
                   const std::vector<ir::Value*>& inputs) {
  std::vector<std::string> names(made.outputs, "y");
  ir::Node* node = model.graph->add_node(made.op, inputs, names);
  for (const auto& [name, value] : made.attributes) node->set_attr(name, value);
  if (made.op == "Transpose") node->set_attr("perm", made.perm);
  return node;
}

ir::Model model_of(const Case& made) {
  ir::Model model;
  model.opset_imports[""] = 18;
  std::vector<ir::Value*> inputs;
  for (const Tensor& tensor : made.inputs)
    inputs.push_back(model.graph->add_constant("c", tensor));
  ir::Node* node = add_node(model, made, inputs);
  for (ir::Value* output : node->outputs()) model.graph->add_output(output);
  ir::infer_shapes(model);
  return model;
}

// The runtime's answer; nullopt when it refuses the node.
std::optional<std::vector<Tensor>> answer(const Case& made) {
  try {
    return run_plain(model_of(made), {});
  } catch (const Error&) {
    return std::nullopt;
  }
}

const std::vector<std::string> kOperators = {"Abs",
                                             "Add",
                                             "And",
                                             "Cast",
                                             "Ceil",
                                             "Concat",
                                             "Cos",
                                             "Div",
                                             "Equal",
                                             "Exp",
                                             "Expand",
                                             "Flatten",
                                             "Floor",
                                             "Gather",
                                             "GatherND",
                                             "Greater",
                                             "Less",
                                             "GreaterOrEqual",
                                             "LessOrEqual",
                                             "Log",
                                             "Max",
                                             "Min",
                                             "Mod",
                                             "Mul",
                                             "Neg",
                                             "Not",
                                             "Or",
                                             "Pad",
                                             "Pow",
                                             "Range",
                                             "Reciprocal",
                                             "ReduceMax",
                                             "ReduceMean",
                                             "ReduceMin",
                                             "ReduceProd",
                                             "ReduceSum",
                                             "Relu",
                                             "Reshape",
                                             "Round",
                                             "ScatterND",
                                             "Sign",
                                             "Sin",
                                             "Slice",
                                             "Split",
                                             "Sqrt",
                                             "Squeeze",
                                             "Sub",
                                             "Tanh",
                                             "Tile",
                                             "Transpose",
                                             "Trilu",
                                             "Unsqueeze",
                                             "Where",
                                             "Xor",
                                             "ConstantOfShape",
                                             "Identity"};

TEST_CASE("fold_constants: every kernel gives the runtime's values") {
  Generator generator(20240607);
  std::map<std::string, int> compared, refused;
  for (int round = 0; round < 24; ++round)
    for (const std::string& op : kOperators) {
      Case made = generator.next(op);
      auto runtime = answer(made);
      if (!runtime) {
        ++refused[op];
        continue;
      }
      const std::vector<Tensor>& expected = *runtime;
      ir::Model model = model_of(made), folded = ir::clone(model);
      PassResult result = apply_pass(folded, make_fold_constants());
      if (result.changes == 0) {
        // Only what has no defined value may stay.
        ++refused[op];
        continue;
      }
      CHECK(count_nodes(folded, op) == (op == "Identity" ? 1 : 0));
      auto found = run_plain(folded, {});
      ++compared[op];
      for (size_t i = 0; i < expected.size(); ++i) {
        CAPTURE(op);
        CAPTURE(round);
        std::string before = ir::to_text(model), after = ir::to_text(folded);
        CAPTURE(before);
        CAPTURE(after);
        CAPTURE(values_text(expected[i]));
        CHECK(relative_difference(expected[i], found[i]) <= kTolerance);
        generator.keep(expected[i]);
      }
    }
  for (const std::string& op : kOperators) {
    if (op == "Identity") continue;  // alone it is the graph output's name
    CAPTURE(op);
    CAPTURE(refused[op]);
    CHECK(compared[op] >= 4);
  }
}

// A value of the chain that holds `tensor`, or a new constant.
ir::Value* find_or_add(ir::Model& chain,
                       const std::vector<std::pair<ir::Value*, Tensor>>& known,
                       const Tensor& tensor) {
  for (auto it = known.rbegin(); it != known.rend(); ++it)
    if (it->second.identical(tensor)) return it->first;
  return chain.graph->add_constant("c", tensor);
}

TEST_CASE("fold_constants: a chain of random nodes folds away") {
  size_t linked = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Generator generator(seed);
    ir::Model chain;
    chain.opset_imports[""] = 18;
    std::vector<std::pair<ir::Value*, Tensor>> known;
    for (int step = 0; step < 80; ++step) {
      Case made = generator.next(kOperators[random.below(kOperators.size())]);
      auto runtime = answer(made);
      if (!runtime || made.op == "Identity") continue;
      ir::Model alone = model_of(made);
      if (apply_pass(alone, make_fold_constants()).changes == 0) continue;
      std::vector<ir::Value*> inputs;
      for (const Tensor& tensor : made.inputs) {
        inputs.push_back(find_or_add(chain, known, tensor));
        linked += inputs.back()->producer() != nullptr;
      }
      ir::Node* node = add_node(chain, made, inputs);
      for (size_t i = 0; i < runtime->size(); ++i) {
        known.emplace_back(node->output(i), (*runtime)[i]);
        generator.keep((*runtime)[i]);
      }
    }
    for (const auto& [value, tensor] : known)
      if (value->unused()) chain.graph->add_output(value);
    ir::infer_shapes(chain);
    ir::Model folded = ir::clone(chain);
    apply_pass(folded, make_fold_constants());
    CHECK(folded.graph->nodes().size() == folded.graph->outputs().size());
    auto expected = run_plain(chain, {}), found = run_plain(folded, {});
    REQUIRE(expected.size() > 10);
    for (size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(chain.graph->outputs()[i]->producer()->label());
      CAPTURE(values_text(expected[i]));
      CAPTURE(values_text(found[i]));
      CHECK(relative_difference(expected[i], found[i]) <= kTolerance);
    }
  }
  CHECK(linked > 50);  // the nodes do feed each other
}

TEST_CASE("fold_constants: nonsense inputs stay or fold, and never crash") {
  const int64_t kValues[] = {
      0,         1,         -1,      2,       3,         -4,          5,
      INT64_MIN, INT64_MAX, 1 << 20, -300000, 1LL << 40, -(1LL << 62)};
  Random random(99);
  auto value = [&] { return kValues[random.below(std::size(kValues))]; };
  auto nonsense = [&]() -> Tensor {
    std::vector<int64_t> dims = random_dims(random);
    if (random.below(3) == 0) return random_tensor(random, DataType::kFloat);
    std::vector<int64_t> values(ir::element_count(dims, "test"));
    for (int64_t& v : values) v = value();
    Tensor tensor = Tensor::from<int64_t>(dims, values);
    if (random.below(4) > 0) return tensor;
    return Tensor::from_doubles(
        random.below(2) ? DataType::kUint8 : DataType::kBool, dims,
        tensor.to_doubles());
  };
  int64_t folded = 0, stayed = 0;
  for (int round = 0; round < 200; ++round)
    for (const std::string& op : kOperators) {
      Case made{.op = op, .inputs = {}, .attributes = {}, .perm = {}};
      for (size_t i = random.below(5); i-- > 0;)
        made.inputs.push_back(nonsense());
      for (const char* name :
           {"axis", "axes", "to", "keepdims", "batch_dims", "num_outputs"})
        if (random.below(3) == 0) made.attributes.emplace_back(name, value());
      made.perm = {value(), value()};
      made.outputs = 1 + random.below(2);
      ir::Model model;
      model.opset_imports[""] = 18;
      std::vector<ir::Value*> inputs;
      for (const Tensor& tensor : made.inputs)
        inputs.push_back(model.graph->add_constant("c", tensor));
      for (ir::Value* output : add_node(model, made, inputs)->outputs())
        model.graph->add_output(output);
      PassResult result = apply_pass(model, make_fold_constants());
      (result.changes > 0 ? folded : stayed) += 1;
    }
  CHECK(folded > 100);
  CHECK(stayed > 100);
}

}  // namespace
}  // namespace lathe::rewrite
