// lstm, gru, rnn_tanh, rnn_relu and their cells as ONNX's LSTM, GRU and RNN.
#include <algorithm>
#include <string>

#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/recurrent_weights.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// PyTorch: input, forget, cell, output; ONNX: input, output, forget, cell.
const RecurrentKind& lstm_kind() {
  static const RecurrentKind kKind{"LSTM", {0, 3, 1, 2}, nullptr};
  return kKind;
}

// PyTorch: reset, update, new; ONNX: update, reset, hidden.
const RecurrentKind& gru_kind() {
  static const RecurrentKind kKind{"GRU", {1, 0, 2}, nullptr};
  return kKind;
}

const RecurrentKind& tanh_kind() {
  static const RecurrentKind kKind{"RNN", {0}, nullptr};
  return kKind;
}

const RecurrentKind& relu_kind() {
  static const RecurrentKind kKind{"RNN", {0}, "Relu"};
  return kKind;
}

// Larger tensors are not searched for anything but zeros.
constexpr int64_t kMaxSearched = 1 << 20;

bool all_zero(const ir::Tensor& tensor) {
  return tensor.size() <= kMaxSearched &&
         std::ranges::all_of(tensor.bytes(), [](std::byte byte) {
           return byte == std::byte{};
         });
}

// The initial state that ONNX assumes where none is given.
bool is_zero(const Value* value) {
  for (int depth = 0; depth < 8; ++depth) {
    if (value->is_constant()) return all_zero(value->tensor());
    const ir::Node* node = value->producer();
    if (!node) return false;
    if (node->is("ConstantOfShape")) {
      const ir::Tensor* fill = node->attr_tensor("value");
      return !fill || all_zero(*fill);
    }
    if (!node->is("Expand") && !node->is("Cast") && !node->is("Identity") &&
        !node->is("Reshape") && !node->is("Unsqueeze") &&
        !node->is("Transpose") && !node->is("Tile"))
      return false;
    value = node->input(0);
  }
  return false;
}

struct Outputs {
  Value *sequence, *hidden, *cell;  // Y, Y_h, Y_c; cell null but for LSTM
};

Outputs run_layer(OnnxBuilder& builder, const RecurrentKind& kind, Value* x,
                  const std::vector<DirectionWeights>& directions,
                  Value* hidden, Value* cell, const std::string& name) {
  const RecurrentWeights weights =
      arrange_weights(builder, kind, directions, name);
  NamedAttributes attributes{{"hidden_size", weights.hidden_size}};
  if (directions.size() == 2)
    attributes.emplace_back("direction", "bidirectional");
  if (kind.op == std::string("GRU"))
    attributes.emplace_back("linear_before_reset", int64_t{1});
  const bool has_cell = kind.op == std::string("LSTM");
  const auto outputs = builder.op_n(
      kind.op, {x, weights.w, weights.r, weights.b, nullptr, hidden, cell},
      has_cell ? 3 : 2, attributes);
  if (kind.activation)
    outputs.front()->producer()->set_attr(
        "activations",
        std::vector<std::string>(directions.size(), kind.activation));
  return {outputs[0], outputs[1], has_cell ? outputs[2] : nullptr};
}

// A state for every layer and direction, layer by layer; nulls where it is
// zero anyway.
std::vector<Value*> states_of(OnnxBuilder& builder, Value* state,
                              int64_t layers) {
  if (!state || is_zero(state))
    return std::vector<Value*>(static_cast<size_t>(layers));
  state = builder.cast(state, DataType::kFloat);
  if (layers == 1) return {state};
  return builder.op_n("Split", {state}, static_cast<size_t>(layers),
                      {{"axis", int64_t{0}}});
}

struct Layers {
  int64_t count, directions;
  // layer by layer, direction by direction
  std::vector<DirectionWeights> weights;
};

Layers read_layers(const AtenCall& call) {
  // More layers than this are taken for damage.
  constexpr int64_t kMaxLayers = 1 << 12;
  if (call.given("batch_sizes"))
    call.unsupported("runs on a packed sequence, which ONNX lacks",
                     "pass padded sequences instead of pack_padded_sequence");
  Layers layers{call.integer("num_layers"),
                call.flag("bidirectional", false) ? 2 : 1,
                {}};
  if (layers.count < 1 || layers.count > kMaxLayers)
    call.unsupported("num_layers is " + std::to_string(layers.count));
  if (call.flag("train", false) && call.real("dropout", 0) > 0 &&
      layers.count > 1)
    call.unsupported("is in training mode with dropout",
                     "call eval() on the model before exporting it");
  const bool biases = call.flag("has_biases", true);
  const std::vector<Value*> params = call.tensors("params");
  const auto cells = static_cast<size_t>(layers.count * layers.directions);
  const size_t each = biases ? 4 : 2;
  if (params.size() == cells * (each + 1))
    call.unsupported("projects its hidden state (proj_size), which ONNX lacks",
                     "use an LSTM without proj_size");
  if (params.size() != cells * each)
    call.unsupported("found " + std::to_string(params.size()) +
                     " parameters, expected " + std::to_string(cells * each));
  for (size_t i = 0; i < cells; ++i) {
    DirectionWeights weights{params[i * each], params[i * each + 1]};
    if (biases) {
      weights.input_bias = params[i * each + 2];
      weights.hidden_bias = params[i * each + 3];
    }
    layers.weights.push_back(weights);
  }
  return layers;
}

// [T, directions, B, hidden] to [T, B, directions * hidden], or with the
// batch in front.
Value* merged_directions(OnnxBuilder& builder, Value* y, bool batch_first) {
  const auto directions = builder.known_dim(y, 1);
  if (directions == 1) {
    Value* only = builder.squeeze(y, {1});
    return batch_first ? builder.transpose(only, {1, 0, 2}) : only;
  }
  Value* moved =
      builder.transpose(y, batch_first ? std::vector<int64_t>{2, 0, 1, 3}
                                       : std::vector<int64_t>{0, 2, 1, 3});
  return reshape_to(builder, moved,
                    {size_of(builder, moved, 0), size_of(builder, moved, 1),
                     compute(builder, "Mul", Argument::of_int(2),
                             size_of(builder, moved, 3))});
}

std::string name_of(const AtenCall& call, int64_t layer) {
  const std::string& scope = call.builder().scope;
  return (scope.empty() ? call.name() : scope) + "." + std::to_string(layer);
}

Arguments run_layers(const AtenCall& call, const RecurrentKind& kind,
                     Value* hidden, Value* cell) {
  OnnxBuilder& builder = call.builder();
  const Layers layers = read_layers(call);
  Value* input = call.tensor("input");
  const DataType type = builder.elem(input);
  if (const int64_t rank = builder.rank(input); rank != 3)
    call.unsupported("found an input of rank " + std::to_string(rank) +
                     ", expected 3");
  const bool batch_first = call.flag("batch_first", false);
  Value* x = builder.cast(input, DataType::kFloat);
  if (batch_first) x = builder.transpose(x, {1, 0, 2});
  const auto hiddens = states_of(builder, hidden, layers.count);
  const auto cells = states_of(builder, cell, layers.count);
  std::vector<Value*> last_hidden, last_cell;
  for (int64_t layer = 0; layer < layers.count; ++layer) {
    const auto first = layers.weights.begin() + layer * layers.directions;
    const auto at = static_cast<size_t>(layer);
    const Outputs outputs =
        run_layer(builder, kind, x, {first, first + layers.directions},
                  hiddens[at], cells[at], name_of(call, layer));
    const bool last = layer + 1 == layers.count;
    x = merged_directions(builder, outputs.sequence, last && batch_first);
    last_hidden.push_back(outputs.hidden);
    last_cell.push_back(outputs.cell);
  }
  auto result = [&](Value* value) {
    return Argument::tensor(builder.cast(value, type));
  };
  Arguments results{result(x), result(builder.concat(last_hidden, 0))};
  if (cell) results.push_back(result(builder.concat(last_cell, 0)));
  return results;
}

// A cell is a layer on a sequence of one element.
Arguments run_cell(const AtenCall& call, const RecurrentKind& kind,
                   Value* hidden, Value* cell) {
  OnnxBuilder& builder = call.builder();
  Value* input = call.tensor("input");
  const DataType type = builder.elem(input);
  if (const int64_t rank = builder.rank(input); rank != 2)
    call.unsupported("found an input of rank " + std::to_string(rank) +
                     ", expected 2");
  const DirectionWeights weights{call.tensor("w_ih"), call.tensor("w_hh"),
                                 call.tensor_or_null("b_ih"),
                                 call.tensor_or_null("b_hh")};
  if (!weights.input_bias != !weights.hidden_bias)
    call.unsupported("has one of b_ih and b_hh, expected both or none");
  auto raised = [&](Value* value) -> Value* {
    if (!value) return nullptr;
    return builder.unsqueeze(builder.cast(value, DataType::kFloat), {0});
  };
  auto state = [&](Value* value) {
    return !value || is_zero(value) ? nullptr : raised(value);
  };
  const Outputs outputs =
      run_layer(builder, kind, raised(input), {weights}, state(hidden),
                state(cell), name_of(call, 0));
  auto result = [&](Value* value) {
    return Argument::tensor(builder.cast(builder.squeeze(value, {0}), type));
  };
  Arguments results{result(outputs.hidden)};
  if (cell) results.push_back(result(outputs.cell));
  return results;
}

std::vector<Value*> lstm_states(const AtenCall& call) {
  std::vector<Value*> states = call.tensors("hx");
  if (states.size() != 2)
    call.unsupported("argument 'hx' has " + std::to_string(states.size()) +
                     " elements, expected 2");
  return states;
}

Arguments emit_lstm(const AtenCall& call) {
  const auto states = lstm_states(call);
  return run_layers(call, lstm_kind(), states[0], states[1]);
}

Arguments emit_lstm_cell(const AtenCall& call) {
  const auto states = lstm_states(call);
  return run_cell(call, lstm_kind(), states[0], states[1]);
}

template <const RecurrentKind& (*kind)()>
Arguments emit_layers(const AtenCall& call) {
  return run_layers(call, kind(), call.tensor("hx"), nullptr);
}

template <const RecurrentKind& (*kind)()>
Arguments emit_cell(const AtenCall& call) {
  return run_cell(call, kind(), call.tensor("hx"), nullptr);
}

constexpr AtenRow kRows[] = {
    {"lstm", emit_lstm},
    {"gru", emit_layers<gru_kind>},
    {"rnn_tanh", emit_layers<tanh_kind>},
    {"rnn_relu", emit_layers<relu_kind>},
    {"lstm_cell", emit_lstm_cell},
    {"gru_cell", emit_cell<gru_kind>},
    {"rnn_tanh_cell", emit_cell<tanh_kind>},
    {"rnn_relu_cell", emit_cell<relu_kind>},
};

}  // namespace

std::span<const AtenRow> recurrent_rows() { return kRows; }

}  // namespace lathe::io::aten
