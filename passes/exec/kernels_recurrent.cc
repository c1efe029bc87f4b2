// LSTM, GRU and RNN, step by step. The input's part of the gates is one product
// for all steps.
#include <algorithm>
#include <cctype>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

using Activation = std::function<at::Tensor(const at::Tensor&)>;

// Alphas and betas are consumed by the functions that take them, in order.
class Coefficients {
 public:
  explicit Coefficients(std::vector<float> list) : list_(std::move(list)) {}
  double next(double fallback) {
    return at_ < list_.size() ? static_cast<double>(list_[at_++]) : fallback;
  }

 private:
  std::vector<float> list_;
  size_t at_ = 0;
};

Activation make_activation(const NodeInfo& info, const std::string& name,
                           Coefficients& alphas, Coefficients& betas) {
  std::string key = name;
  for (char& c : key)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  using T = at::Tensor;
  if (key == "sigmoid") return [](const T& x) { return at::sigmoid(x); };
  if (key == "tanh") return [](const T& x) { return at::tanh(x); };
  if (key == "relu") return [](const T& x) { return at::relu(x); };
  if (key == "softplus")
    return [](const T& x) {
      // Stable for large x, unlike the logarithm of a sum.
      return at::relu(x) + at::log1p(at::exp(-x.abs()));
    };
  if (key == "softsign") return [](const T& x) { return x / (1 + x.abs()); };
  if (key == "leakyrelu") {
    const double alpha = alphas.next(0.01);
    return [=](const T& x) { return at::leaky_relu(x, alpha); };
  }
  if (key == "thresholdedrelu") {
    const double alpha = alphas.next(1.0);
    return
        [=](const T& x) { return at::where(x >= alpha, x, at::zeros_like(x)); };
  }
  if (key == "elu") {
    const double alpha = alphas.next(1.0);
    return [=](const T& x) { return at::elu(x, alpha); };
  }
  if (key != "affine" && key != "scaledtanh" && key != "hardsigmoid")
    info.invalid("'" + name + "' is no activation function");
  const bool hard = key == "hardsigmoid";
  const double alpha = alphas.next(hard ? 0.2 : 1.0);
  const double beta = betas.next(hard ? 0.5 : key == "affine" ? 0.0 : 1.0);
  if (hard) return [=](const T& x) { return (x * alpha + beta).clamp(0, 1); };
  if (key == "affine") return [=](const T& x) { return x * alpha + beta; };
  return [=](const T& x) { return at::tanh(x * beta) * alpha; };
}

// What the attributes say.
struct Layer {
  std::vector<bool> backward;           // of each direction
  std::vector<Activation> activations;  // `functions` a direction
  size_t functions = 0;
  bool has_clip = false;
  double clip = 0;
  bool batch_first = false;
  bool option = false;  // input_forget; linear_before_reset
  bool wants_y = false, wants_h = false, wants_c = false;
};

// One direction's weights: w [gates * H, I], r [gates * H, H].
struct Weights {
  at::Tensor w, r, wb, rb, p;
  const Activation* f = nullptr;
};

struct State {
  at::Tensor h, c;
};

at::Tensor clipped(const Layer& layer, const at::Tensor& x) {
  return layer.has_clip ? x.clamp(-layer.clip, layer.clip) : x;
}

// A cell gets its input's part with the biases that can be added beforehand.
struct LstmCell {
  static constexpr const char* kDefaults[] = {"Sigmoid", "Tanh", "Tanh"};
  static constexpr const char* kOption = "input_forget";
  static constexpr int64_t kGates = 4;
  static constexpr bool kHasCell = true;

  LstmCell(const Layer& layer, const Weights& weights)
      : layer_(layer), f_(weights.f), r_(weights.r.t()) {
    if (weights.wb.defined()) bias = weights.wb + weights.rb;
    if (!weights.p.defined()) return;
    const auto parts = weights.p.chunk(3, 0);  // i, o, f
    p_i_ = parts[0];
    p_o_ = parts[1];
    p_f_ = parts[2];
  }

  State step(const at::Tensor& x, const State& before) const {
    const auto gates = at::addmm(x, before.h, r_).chunk(4, 1);  // i, o, f, c
    auto gate = [&](size_t i, const at::Tensor& peephole, const at::Tensor& c) {
      return f_[0](clipped(
          layer_, peephole.defined() ? gates[i] + peephole * c : gates[i]));
    };
    const at::Tensor in = gate(0, p_i_, before.c);
    const at::Tensor forget = layer_.option ? 1 - in : gate(2, p_f_, before.c);
    const at::Tensor fresh = f_[1](clipped(layer_, gates[3]));
    const at::Tensor c = forget * before.c + in * fresh;
    return {gate(1, p_o_, c) * f_[2](c), c};
  }

  at::Tensor bias;

 private:
  const Layer& layer_;
  const Activation* f_;
  at::Tensor r_, p_i_, p_o_, p_f_;
};

struct GruCell {
  static constexpr const char* kDefaults[] = {"Sigmoid", "Tanh"};
  static constexpr const char* kOption = "linear_before_reset";
  static constexpr int64_t kGates = 3;
  static constexpr bool kHasCell = false;

  GruCell(const Layer& layer, const Weights& weights)
      : layer_(layer), f_(weights.f), size_(weights.r.size(1)) {
    r_zr_ = weights.r.narrow(0, 0, 2 * size_).t();
    r_h_ = weights.r.narrow(0, 2 * size_, size_).t();
    if (!weights.wb.defined()) return;
    if (!layer.option) {
      bias = weights.wb + weights.rb;
      return;
    }
    rb_h_ = weights.rb.narrow(0, 2 * size_, size_);
    bias = weights.wb +
           at::cat({weights.rb.narrow(0, 0, 2 * size_), at::zeros_like(rb_h_)});
  }

  State step(const at::Tensor& x, const State& before) const {
    const at::Tensor zr = f_[0](
        clipped(layer_, at::addmm(x.narrow(1, 0, 2 * size_), before.h, r_zr_)));
    const at::Tensor z = zr.narrow(1, 0, size_);
    const at::Tensor r = zr.narrow(1, size_, size_);
    const at::Tensor x_h = x.narrow(1, 2 * size_, size_);
    at::Tensor h;
    if (layer_.option) {
      const at::Tensor linear = rb_h_.defined()
                                    ? at::addmm(rb_h_, before.h, r_h_)
                                    : at::mm(before.h, r_h_);
      h = x_h + r * linear;
    } else {
      h = at::addmm(x_h, r * before.h, r_h_);
    }
    h = f_[1](clipped(layer_, h));
    return {(1 - z) * h + z * before.h, at::Tensor()};
  }

  at::Tensor bias;

 private:
  const Layer& layer_;
  const Activation* f_;
  int64_t size_;
  at::Tensor r_zr_, r_h_, rb_h_;
};

struct RnnCell {
  static constexpr const char* kDefaults[] = {"Tanh"};
  static constexpr const char* kOption = nullptr;
  static constexpr int64_t kGates = 1;
  static constexpr bool kHasCell = false;

  RnnCell(const Layer& layer, const Weights& weights)
      : layer_(layer), f_(weights.f), r_(weights.r.t()) {
    if (weights.wb.defined()) bias = weights.wb + weights.rb;
  }

  State step(const at::Tensor& x, const State& before) const {
    return {f_[0](clipped(layer_, at::addmm(x, before.h, r_))), at::Tensor()};
  }

  at::Tensor bias;

 private:
  const Layer& layer_;
  const Activation* f_;
  at::Tensor r_;
};

// Steps of one direction; `x` is [steps, batch, in], `live` an undefined tensor
// or, [steps, batch, 1], whether a step is inside its sequence. A sequence of
// no steps ends in zeros. Gives Y's slice (where wanted) and the last state.
template <class Cell>
std::pair<at::Tensor, State> run_direction(const Layer& layer,
                                           const Weights& weights,
                                           const at::Tensor& x, State state,
                                           const at::Tensor& live,
                                           bool backward) {
  const Cell cell(layer, weights);
  at::Tensor part = at::matmul(x, weights.w.t());
  if (cell.bias.defined()) part = part + cell.bias;
  const Tensors parts = part.unbind(0);
  Tensors masks;
  if (live.defined()) masks = live.unbind(0);
  const at::Tensor nothing = at::zeros_like(state.h);
  Tensors outputs(layer.wants_y ? parts.size() : 0);
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t t = backward ? parts.size() - 1 - i : i;
    State next = cell.step(parts[t], state);
    if (layer.wants_y)
      outputs[t] =
          masks.empty() ? next.h : at::where(masks[t], next.h, nothing);
    if (!masks.empty()) {
      next.h = at::where(masks[t], next.h, state.h);
      if (Cell::kHasCell) next.c = at::where(masks[t], next.c, state.c);
    }
    state = next;
  }
  if (!masks.empty()) {
    state.h = at::where(masks[0], state.h, nothing);
    if (Cell::kHasCell) state.c = at::where(masks[0], state.c, nothing);
  }
  at::Tensor y;
  if (layer.wants_y)
    y = outputs.empty() ? nothing.unsqueeze(0).narrow(0, 0, 0)
                        : at::stack(outputs, 0);
  return {y, state};
}

// Inputs: X, W, R, B, sequence_lens, initial_h, initial_c, P.
template <class Cell>
Tensors run_layer(const Layer& layer, Inputs in) {
  const at::Tensor x = layer.batch_first ? in[0].transpose(0, 1) : in[0];
  const int64_t steps = x.size(0), batch = x.size(1), size = in[2].size(2);
  const int64_t directions = static_cast<int64_t>(layer.backward.size());
  TORCH_CHECK(in[1].size(0) == directions, "W has ", in[1].size(0),
              " directions, but the attribute says ", directions);
  auto initial = [&](size_t i) -> at::Tensor {
    const at::Tensor given = input(in, i);
    if (!given.defined())
      return at::zeros({directions, batch, size}, x.options());
    return layer.batch_first ? given.transpose(0, 1) : given;
  };
  at::Tensor live;
  if (const at::Tensor lengths = input(in, 4); lengths.defined())
    live = (at::arange(steps, lengths.options()).unsqueeze(1) <
            lengths.unsqueeze(0))
               .unsqueeze(2);
  const at::Tensor h = initial(5);
  at::Tensor c;
  if (Cell::kHasCell) c = initial(6);
  Tensors ys, hs, cs;
  for (int64_t d = 0; d < directions; ++d) {
    Weights weights;
    weights.w = in[1][d];
    weights.r = in[2][d];
    if (const at::Tensor b = input(in, 3); b.defined()) {
      const auto halves = b[d].chunk(2, 0);
      weights.wb = halves[0];
      weights.rb = halves[1];
    }
    if (const at::Tensor p = input(in, 7); Cell::kHasCell && p.defined())
      weights.p = p[d];
    const size_t index = static_cast<size_t>(d);
    weights.f = &layer.activations[index * layer.functions];
    State state = {h[d], c.defined() ? c[d] : c};
    auto [y, last] = run_direction<Cell>(layer, weights, x, state, live,
                                         layer.backward[index]);
    ys.push_back(y);
    hs.push_back(last.h);
    cs.push_back(last.c);
  }
  // [directions, batch, size], or with the batch first.
  const int64_t direction_axis = layer.batch_first ? 1 : 0;
  Tensors out(Cell::kHasCell ? 3 : 2);
  if (layer.wants_y) {
    out[0] = at::stack(ys, 1);  // [steps, directions, batch, size]
    if (layer.batch_first) out[0] = out[0].permute({2, 0, 1, 3}).contiguous();
  }
  if (layer.wants_h) out[1] = at::stack(hs, direction_axis);
  if (Cell::kHasCell && layer.wants_c) out[2] = at::stack(cs, direction_axis);
  return out;
}

template <class Cell>
Kernel make_recurrent(const NodeInfo& info) {
  Layer layer;
  const std::string direction = info.node.attr_string("direction", "forward");
  if (direction == "forward")
    layer.backward = {false};
  else if (direction == "reverse")
    layer.backward = {true};
  else if (direction == "bidirectional")
    layer.backward = {false, true};
  else
    info.invalid("attribute 'direction' is '" + direction + "'",
                 "it can be forward, reverse or bidirectional");
  layer.functions = std::size(Cell::kDefaults);
  const size_t count = layer.functions * layer.backward.size();
  std::vector<std::string> names;
  if (const ir::Attribute* given = info.node.attribute("activations"))
    if (const auto* list = given->get_if<std::vector<std::string>>())
      names = *list;
  if (names.empty())
    while (names.size() < count)
      names.insert(names.end(), std::begin(Cell::kDefaults),
                   std::end(Cell::kDefaults));
  if (names.size() != count)
    info.invalid("attribute 'activations' has " + std::to_string(names.size()) +
                 " elements, but needs " + std::to_string(count));
  Coefficients alphas(info.node.attr_floats("activation_alpha"));
  Coefficients betas(info.node.attr_floats("activation_beta"));
  for (const std::string& name : names)
    layer.activations.push_back(make_activation(info, name, alphas, betas));
  layer.clip = static_cast<double>(info.node.attr_float("clip", 0));
  layer.has_clip = layer.clip > 0;
  layer.batch_first = info.node.attr_int("layout", 0) != 0;
  if constexpr (Cell::kOption != nullptr)
    layer.option = info.node.attr_int(Cell::kOption, 0) != 0;
  layer.wants_y = info.wants(0);
  layer.wants_h = info.wants(1);
  layer.wants_c = info.wants(2);
  return [layer](Inputs in, const RunState&) {
    return run_layer<Cell>(layer, in);
  };
}

constexpr OperatorRow kRows[] = {
    {"LSTM", make_recurrent<LstmCell>},
    {"GRU", make_recurrent<GruCell>},
    {"RNN", make_recurrent<RnnCell>},
};

}  // namespace

std::span<const OperatorRow> recurrent_rows() { return kRows; }

}  // namespace lathe::exec
