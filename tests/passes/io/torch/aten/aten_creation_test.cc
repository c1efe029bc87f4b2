#include <functional>

#include "calibration/latency/session.h"
#include "tests/passes/io/torch/aten/aten_fixture.h"

namespace lathe::test {
namespace {

using io::aten::Argument;

using Nodes = std::vector<std::string>;
using Sizes = std::vector<int64_t>;

const c10::IValue kNone;

c10::IValue number_of(at::ScalarType type) {
  return static_cast<int64_t>(type);
}

at::Tensor counting(at::ScalarType type = at::kFloat) {
  return at::arange(12).view({3, 4}).to(type);
}

const auto kTypes = {at::kFloat, at::kDouble, at::kLong,
                     at::kInt,   at::kByte,   at::kBool};

TEST_CASE("aten: tensors of one number") {
  for (const c10::IValue& size :
       {c10::IValue(Sizes{2, 3}), c10::IValue(Sizes{}),
        c10::IValue(Sizes{0, 2}), c10::IValue(Sizes{100, 90})}) {
    same_as_torch("aten::zeros", {size});
    same_as_torch("aten::ones", {size, number_of(at::kLong)});
    same_as_torch("aten::full", {size, 2.5});
    same_as_torch("aten::full", {size, 3});
    same_as_torch("aten::full", {size, true});
    same_as_torch("aten::new_zeros", {counting(at::kInt), size});
    same_as_torch("aten::new_ones", {counting(at::kBool), size});
    same_as_torch("aten::new_full", {counting(at::kDouble), size, 1.25});
  }
  for (auto type : kTypes)
    for (const char* op : {"aten::zeros", "aten::ones"})
      same_as_torch(op, {Sizes{4}, number_of(type)});
  same_as_torch("aten::full", {Sizes{2}, int64_t{1} << 60});
  same_as_torch("aten::full", {Sizes{2}, 7, number_of(at::kFloat)});
  same_as_torch("aten::new_full",
                {counting(), Sizes{2}, 7, number_of(at::kLong)});
  CHECK(emitted_nodes("aten::zeros", {Sizes{2, 3}}) == Nodes{});
  CHECK(emitted_nodes("aten::zeros", {Sizes{100, 100}}) ==
        Nodes{"ConstantOfShape"});
  CHECK(emitted_nodes("aten::empty.memory_format", {Sizes{2}}) == Nodes{});
  CHECK(emitted_nodes("aten::empty_strided", {Sizes{2}, Sizes{1}}) == Nodes{});
  CHECK(emitted_nodes("aten::new_empty", {counting(), Sizes{2}}) == Nodes{});
  CHECK(emitted_nodes("aten::new_empty_strided",
                      {counting(), Sizes{2}, Sizes{1}}) == Nodes{});
  CHECK(emit_error("aten::zeros", {Sizes{-1}}) ==
        "test: aten::zeros: negative dimension in shape [-1]");
  CHECK(emit_error("aten::zeros", {Sizes{2}, number_of(at::kQInt8)}) ==
        "test: aten::zeros: argument 'dtype' is PyTorch's scalar type 12, "
        "which ONNX lacks");
}

TEST_CASE("aten: tensors like another") {
  for (auto type : kTypes) {
    same_as_torch("aten::zeros_like", {counting(type)});
    same_as_torch("aten::ones_like", {counting(type)});
    same_as_torch("aten::full_like", {counting(type), 1});
    same_as_torch("aten::zeros_like", {counting(), number_of(type)});
    same_as_torch("aten::zero", {counting(type)});
    same_as_torch("aten::fill.Scalar", {counting(type), 1});
  }
  same_as_torch("aten::fill.Tensor",
                {counting(), at::scalar_tensor(3, at::kLong)});
  same_as_torch("aten::full_like", {counting(), 2.5, number_of(at::kDouble)});
  CHECK(emitted_nodes("aten::empty_like", {counting()}) == Nodes{});
}

TEST_CASE("aten: arange in every form") {
  same_as_torch("aten::arange", {5});
  same_as_torch("aten::arange", {0});
  same_as_torch("aten::arange", {4.5});
  same_as_torch("aten::arange", {5, number_of(at::kFloat)});
  same_as_torch("aten::arange", {9000});
  same_as_torch("aten::arange", {9000, number_of(at::kInt)});
  same_as_torch("aten::arange.start", {-2, 7});
  same_as_torch("aten::arange.start", {-2.0, 3.5});
  same_as_torch("aten::arange.start_step", {10, -3, -4});
  same_as_torch("aten::arange.start_step", {0, 10, 3, number_of(at::kInt)});
  same_as_torch("aten::arange.start_step", {0.0, 1.0, 0.1});
  same_as_torch("aten::arange.start_step", {0.5, 900.0, 0.1});
  same_as_torch("aten::arange.start_step",
                {0.5, 900.0, 0.1, number_of(at::kDouble)});
  same_as_torch("aten::arange.start_step",
                {0.5, 6.0, 1.5, number_of(at::kDouble)});
  same_as_torch("aten::arange.start",
                {(int64_t{1} << 62) + 1, (int64_t{1} << 62) + 4});
  same_as_torch("aten::arange.start_step",
                {1.5, 7.5, 2.5, number_of(at::kInt)});
  CHECK(emit_error("aten::arange.start", {1e30, 1e30, number_of(at::kLong)}) ==
        "test: aten::arange: a bound of 1000000000000000019884624838656.000000 "
        "is no int64");
  CHECK(emitted_nodes("aten::arange", {5}) == Nodes{});
  CHECK(emitted_nodes("aten::arange", {9000}) == Nodes{"Range"});
  CHECK(emit_error("aten::arange.start_step", {0, 5, 0}) ==
        "test: aten::arange: it has no elements from 0.000000 to 5.000000 in "
        "steps of 0.000000");
  CHECK(emit_error("aten::arange.start", {5, 0}) ==
        "test: aten::arange: it has no elements from 5.000000 to 0.000000 in "
        "steps of 1.000000");
}

// The result of `name` where `n`, the size of a tensor of unknown size, is
// among its arguments; run with a tensor of `n` elements.
ir::Tensor with_computed_size(
    const std::string& name, int64_t n,
    const std::function<io::aten::AtenCall(io::aten::OnnxBuilder&,
                                           const Argument& n)>& make_call) {
  ir::Model model;
  io::aten::OnnxBuilder builder(model);
  ir::ValueType type;
  type.elem = ir::DataType::kFloat;
  type.shape = ir::Shape{ir::Dim::named("n")};
  ir::Value* input = model.graph->add_input("x", type);
  const auto call = make_call(builder, builder.size(input, 0));
  ir::Value* result = io::aten::find_aten(name)->emit(call).front().value;
  model.graph->add_output(result);
  return latency::Session::open(model, {}, "test")
      ->run({{"x", ir::Tensor::zeros(ir::DataType::kFloat, {n})}})
      .front();
}

void check_computed(const std::string& name, int64_t n,
                    std::vector<std::pair<std::string, Argument>> arguments,
                    const char* computed, const at::Tensor& expected) {
  CAPTURE(name);
  const ir::Tensor mine = with_computed_size(
      name, n, [&](io::aten::OnnxBuilder& builder, const Argument& size) {
        auto all = arguments;
        all.emplace_back(computed, std::string(computed) == "size"
                                       ? Argument::list({size, size})
                                       : size);
        return io::aten::AtenCall(name, "", all, builder);
      });
  CHECK(mine.type() == io::aten::data_type_from_torch(
                           static_cast<int64_t>(expected.scalar_type())));
  REQUIRE(mine.dims() == expected.sizes().vec());
  const at::Tensor whole = expected.to(at::kDouble).contiguous();
  const std::vector<double> elements = mine.to_doubles();
  for (size_t i = 0; i < elements.size(); ++i)
    CHECK(elements[i] == doctest::Approx(whole.data_ptr<double>()[i]));
}

TEST_CASE("aten: sizes that the graph computes") {
  check_computed("arange", 5, {}, "end", at::arange(5));
  check_computed("arange", 5, {{"dtype", Argument::of_int(6)}}, "end",
                 at::arange(5, at::kFloat));
  check_computed(
      "arange", 5,
      {{"start", Argument::of_int(9)}, {"step", Argument::of_int(-2)}}, "end",
      at::arange(9, 5, -2));
  check_computed(
      "arange", 2,
      {{"start", Argument::of_float(0.5)}, {"end", Argument::of_float(9.25)}},
      "step", at::arange(0.5, 9.25, 2, at::kFloat));
  check_computed(
      "linspace", 6,
      {{"start", Argument::of_float(-1)}, {"end", Argument::of_float(1)}},
      "steps", at::linspace(-1, 1, 6));
  check_computed(
      "linspace", 4,
      {{"start", Argument::of_int(0)}, {"steps", Argument::of_int(9)}}, "end",
      at::linspace(0, 4, 9));
  check_computed("eye", 3, {}, "n", at::eye(3));
  check_computed("zeros", 3, {}, "size", at::zeros({3, 3}));
  check_computed("full", 3, {{"fill_value", Argument::of_int(7)}}, "size",
                 at::full({3, 3}, 7, at::kLong));
  check_computed("full", 3,
                 {{"size", Argument::list(std::vector<int64_t>{2, 2})}},
                 "fill_value", at::full({2, 2}, 3, at::kLong));
  check_computed("scalar_tensor", 3, {}, "s", at::scalar_tensor(3));
  check_computed("rand", 0, {}, "size", at::rand({0, 0}));
}

TEST_CASE("aten: linspace meets both ends") {
  for (int64_t steps : {0, 1, 2, 5, 100, 9000})
    same_as_torch("aten::linspace", {-1.0, 2.0, steps});
  same_as_torch("aten::linspace", {0, 10, 5, number_of(at::kLong)});
  same_as_torch("aten::linspace", {3, -3, 7, number_of(at::kDouble)});
  CHECK(emitted_nodes("aten::linspace", {0, 1, 10}) == Nodes{});
  CHECK(emit_error("aten::linspace", {0, 1, -1}) ==
        "test: aten::linspace: argument 'steps' is negative");
}

TEST_CASE("aten: identity matrices and triangles") {
  same_as_torch("aten::eye", {4});
  same_as_torch("aten::eye", {100});
  same_as_torch("aten::eye.m", {2, 5, number_of(at::kLong)});
  same_as_torch("aten::eye.m", {90, 60, number_of(at::kBool)});
  for (const char* op : {"aten::tril", "aten::triu"}) {
    for (auto type : kTypes) same_as_torch(op, {counting(type)});
    for (int64_t diagonal : {-1, 1, 2})
      same_as_torch(op, {at::randn({2, 3, 4}), diagonal});
  }
  for (const char* op : {"aten::tril_indices", "aten::triu_indices"}) {
    same_as_torch(op, {3, 4});
    same_as_torch(op, {4, 3, -1});
    same_as_torch(op, {3, 3, 1, number_of(at::kInt)});
  }
  CHECK(emitted_nodes("aten::eye", {100}) ==
        Nodes{"ConstantOfShape", "EyeLike"});
  CHECK(emitted_nodes("aten::triu", {counting()}) == Nodes{"Trilu"});
  CHECK(emit_error("aten::tril_indices", {int64_t{1} << 40, 2}) ==
        "test: aten::tril_indices: a matrix of 1099511627776 by 2 elements is "
        "too large");
}

TEST_CASE("aten: scalar_tensor is a float by default") {
  same_as_torch("aten::scalar_tensor", {3});
  same_as_torch("aten::scalar_tensor", {2.5, number_of(at::kDouble)});
  same_as_torch("aten::scalar_tensor", {3, number_of(at::kLong)});
}

TEST_CASE("aten: meshgrid") {
  const std::vector<at::Tensor> axes{at::arange(3), at::arange(2),
                                     at::arange(4)};
  same_as_torch("aten::meshgrid", {axes});
  same_as_torch("aten::meshgrid.indexing", {axes, "xy"});
  same_as_torch("aten::meshgrid.indexing",
                {std::vector<at::Tensor>{axes[0], axes[1]}, "xy"});
  same_as_torch("aten::meshgrid", {std::vector<at::Tensor>{axes[0]}});
  same_as_torch("aten::meshgrid",
                {std::vector<at::Tensor>{at::scalar_tensor(2), at::rand({3})}});
}

TEST_CASE("aten: windows") {
  for (const std::string op :
       {"aten::hann_window", "aten::hamming_window", "aten::blackman_window",
        "aten::bartlett_window"}) {
    for (int64_t length : {0, 1, 2, 7, 400}) same_as_torch(op, {length});
    for (bool periodic : {false, true})
      same_as_torch(op + ".periodic", {8, periodic});
  }
  same_as_torch("aten::hann_window", {8, number_of(at::kDouble)});
  same_as_torch("aten::hamming_window.periodic_alpha", {8, true, 0.6});
  same_as_torch("aten::hamming_window.periodic_alpha_beta",
                {8, false, 0.6, 0.3});
  CHECK(emit_error("aten::hann_window", {-1}) ==
        "test: aten::hann_window: argument 'window_length' is -1, expected 0 "
        "to 16777216");
}

TEST_CASE("aten: conversions") {
  for (auto from : kTypes)
    for (auto to : kTypes) {
      same_as_torch("aten::to.dtype", {counting(from), number_of(to)});
      same_as_torch("aten::to.other", {counting(from), counting(to)});
      same_as_torch("aten::_to_copy", {counting(from), number_of(to)});
    }
  same_as_torch("aten::to.dtype",
                {at::tensor({-1.7, 1.7, 0.2}), number_of(at::kLong)});
  same_as_torch("aten::to.device",
                {counting(), at::Device(at::kCPU), number_of(at::kInt)});
  same_as_torch("aten::to.dtype_layout", {counting()});
  same_as_torch("aten::type_as", {counting(), counting(at::kLong)});
  for (const char* op :
       {"aten::_cast_Byte", "aten::_cast_Char", "aten::_cast_Double",
        "aten::_cast_Float", "aten::_cast_Half", "aten::_cast_Int",
        "aten::_cast_Long", "aten::_cast_Short"})
    same_as_torch(op, {counting()});
  CHECK(emitted_nodes("aten::to.dtype", {counting(), number_of(at::kFloat)}) ==
        Nodes{});
  CHECK(emitted_nodes("aten::to.dtype", {counting(), number_of(at::kLong)}) ==
        Nodes{"Cast"});
}

TEST_CASE("aten: copies are the tensor itself") {
  for (const char* op :
       {"aten::clone", "aten::contiguous", "aten::detach", "aten::detach_copy",
        "aten::alias", "aten::alias_copy", "aten::lift", "aten::lift_fresh",
        "aten::lift_fresh_copy", "aten::resolve_conj", "aten::resolve_neg",
        "aten::conj", "aten::conj_physical", "aten::real", "aten::positive"}) {
    same_as_torch(op, {counting()});
    CHECK(emitted_nodes(op, {counting()}) == Nodes{});
  }
  // TorchScript's own names, and what LibTorch has for complex numbers.
  for (const char* name : {"cpu", "cuda", "pin_memory", "data", "_conj"}) {
    ir::Model model;
    io::aten::OnnxBuilder builder(model);
    ir::Value* x = model.graph->add_input("x", {});
    const io::aten::AtenCall call(name, "", {{"self", Argument::tensor(x)}},
                                  builder);
    CHECK(io::aten::find_aten(name)->emit(call).front().value == x);
    CHECK(model.graph->nodes().empty());
  }
}

TEST_CASE("aten: copy takes the target's type and shape") {
  same_as_torch("aten::copy", {counting(), counting(at::kLong)});
  same_as_torch("aten::copy", {counting(at::kInt), at::rand({4}) * 9});
  CHECK(emitted_nodes("aten::copy", {counting(), counting()}) == Nodes{});
}

// Distributions without a choice, and tensors without elements, are the same
// in every library.
TEST_CASE("aten: random tensors") {
  const Sizes none_of{0, 3};
  same_as_torch("aten::rand", {none_of});
  same_as_torch("aten::randn", {none_of, number_of(at::kDouble)});
  same_as_torch("aten::rand_like", {at::ones({0, 2})});
  same_as_torch("aten::randn_like",
                {at::ones({0, 2}, at::kLong), number_of(at::kFloat)});
  same_as_torch("aten::uniform", {counting(), 2.0, 2.0});
  same_as_torch("aten::normal_functional", {counting(), 3.0, 0.0});
  same_as_torch("aten::normal.float_float", {1.5, 0.0, Sizes{2, 3}});
  same_as_torch("aten::normal.Tensor_float", {counting(), 0.0});
  same_as_torch("aten::normal.Tensor_Tensor", {counting(), at::zeros({4})});
  same_as_torch("aten::normal.float_Tensor", {2.0, at::zeros({4})});
  same_as_torch("aten::randint", {1, Sizes{2, 3}});
  same_as_torch("aten::randint.low", {7, 8, Sizes{4}, number_of(at::kInt)});
  same_as_torch("aten::randint_like", {counting(), 1});
  same_as_torch("aten::randint_like.low_dtype", {counting(), 3, 4});
  for (auto type : {at::kFloat, at::kDouble}) {
    same_as_torch("aten::bernoulli", {at::tensor({0, 1, 1, 0}).to(type)});
    same_as_torch("aten::bernoulli.p", {counting(type), 1.0});
    same_as_torch("aten::bernoulli.Tensor",
                  {counting(type), at::tensor({0, 1, 1, 0}).to(type)});
  }
  CHECK(emitted_nodes("aten::rand", {Sizes{2}}) == Nodes{"RandomUniform"});
  CHECK(emitted_nodes("aten::randn_like", {counting()}) ==
        Nodes{"RandomNormalLike"});
  CHECK(emit_error("aten::rand", {Sizes{2}, number_of(at::kLong)}) ==
        "test: aten::rand: it draws numbers of type int64, expected a floating "
        "type (draw float numbers and convert them)");
  CHECK(emit_error("aten::uniform", {counting(), 2.0, 1.0}) ==
        "test: aten::uniform: argument 'from' is 2.000000, above 'to', which "
        "is 1.000000");
  CHECK(emit_error("aten::normal.float_float", {0.0, -1.0, Sizes{2}}) ==
        "test: aten::normal: argument 'std' is -1.000000, expected 0 or more");
  CHECK(emit_error("aten::bernoulli.p", {counting(), 1.5}) ==
        "test: aten::bernoulli: argument 'p' is 1.500000, expected 0 to 1");
}

TEST_CASE("aten: complex numbers are refused") {
  const at::Tensor x = at::ones({2});
  const std::string refusal =
      ": the runtime has no complex numbers (compute with the real and the "
      "imaginary part as two tensors)";
  for (const std::string name : {"complex", "polar"})
    CHECK(emit_error("aten::" + name, {x, x}) ==
          "test: aten::" + name + refusal);
  for (const std::string name : {"imag", "view_as_complex", "view_as_real"})
    CHECK(emit_error("aten::" + name, {x}) == "test: aten::" + name + refusal);
}

}  // namespace
}  // namespace lathe::test
