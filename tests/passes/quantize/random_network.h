// Random narrow networks for the tests of block_pixels.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "passes/base/random.h"
#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"

namespace lathe::quantize::test {

// Chains, residual blocks and ways out of them, in the text form.
class RandomNetwork {
 public:
  explicit RandomNetwork(uint64_t seed)
      : random_(derive_seed(seed, "block_pixels")) {
    size_ = 8 + 2 * static_cast<int64_t>(random_.below(13));
    width_ = 8 + 2 * static_cast<int64_t>(random_.below(13));
    const int64_t images = 1 + static_cast<int64_t>(random_.below(2));
    dynamic_ = random_.below(3) == 0;
    images_ = images;
    const int64_t inputs = 1 + static_cast<int64_t>(random_.below(5));
    channels_ = inputs;
    text_ = fmt::format("opset 17\ngraph {{\n  input %x: float[{},{},{},{}]\n",
                        dynamic_ ? "N" : std::to_string(images), inputs, size_,
                        width_);
    at_ = "x";
    conv(pick({3, 3, 1, 5}), 1, true);
    for (uint64_t i = 0, items = 1 + random_.below(3); i < items; ++i) {
      if (random_.below(2) == 0)
        chain();
      else
        residual();
    }
    leave();
    text_ += "  output %" + at_ + "\n}\n";
  }

  ir::Model model() const { return ir::parse_text(text_); }
  const std::string& text() const { return text_; }
  ir::InputShapes shapes(const ir::Model& model) const {
    auto shapes = ir::default_input_shapes(model);
    for (auto& [name, dims] : shapes)
      if (dims.size() == 4) dims[0] = images_;
    return shapes;
  }

 private:
  int64_t pick(std::vector<int64_t> from) {
    return from[random_.below(from.size())];
  }
  std::string name(const char* kind) {
    return fmt::format("{}{}", kind, ++names_);
  }
  int64_t narrow() { return 3 + static_cast<int64_t>(random_.below(14)); }

  std::string constant(const std::vector<int64_t>& dims, double scale) {
    const std::string made = name("k");
    std::string shape, values;
    int64_t count = 1;
    for (int64_t dim : dims) {
      shape += (shape.empty() ? "" : ",") + std::to_string(dim);
      count *= dim;
    }
    for (int64_t i = 0; i < count; ++i)
      values +=
          fmt::format("{}{:.4f}", i ? ", " : "", random_.normal() * scale);
    text_ +=
        fmt::format("  init %{} = float[{}] {{{}}}\n", made, shape, values);
    return made;
  }

  void node(const std::string& out, const std::string& rest) {
    text_ += fmt::format("  %{} = {} @{}\n", out, rest, out);
    at_ = out;
  }

  void activation() {
    switch (random_.below(4)) {
      case 0:
      case 1:
        return node(name("r"), fmt::format("Relu(%{})", at_));
      case 2: {
        if (clip_.empty()) {
          clip_ = "bounds";
          text_ +=
              "  init %low = float[] {-0.5}\n  init %high = float[] {1.5}\n";
        }
        return node(name("clip"), fmt::format("Clip(%{}, %low, %high)", at_));
      }
      default:
        return;
    }
  }

  void conv(int64_t kernel, int64_t stride, bool act, int64_t outputs = 0,
            int64_t kernel_width = 0) {
    if (outputs == 0) outputs = narrow();
    if (kernel_width == 0) kernel_width = kernel;
    const std::string w =
        constant({outputs, channels_, kernel, kernel_width},
                 1 / std::sqrt(static_cast<double>(channels_ * kernel)));
    const std::string bias =
        random_.below(3) ? ", %" + constant({outputs}, 0.3) : "";
    const int64_t p = kernel / 2, q = kernel_width / 2;
    node(name("c"), fmt::format("Conv(%{}, %{}{}) {{pads = [{}, {}, {}, {}], "
                                "strides = [{}, {}]}}",
                                at_, w, bias, p, q, p, q, stride, stride));
    channels_ = outputs;
    size_ = (size_ - 1) / stride + 1;
    width_ = (width_ - 1) / stride + 1;
    if (act) activation();
  }

  void chain() {
    for (uint64_t i = 0, convs = 1 + random_.below(3); i < convs; ++i) {
      switch (random_.below(6)) {
        case 0:
          conv(1, 1, true);
          break;
        case 1:
          conv(5, 1, true);
          break;
        case 2:
          conv(1, 1, true, 0, 3);
          break;
        case 3:
          node(name("leaky"), fmt::format("LeakyRelu(%{})", at_));
          [[fallthrough]];
        default:
          conv(3, 1, true);
      }
    }
  }

  void residual() {
    const std::string start = at_;
    const int64_t width = channels_;
    conv(3, 1, true);
    conv(3, 1, false, width);
    node(name("sum"), fmt::format("Add(%{}, %{})", at_, start));
    activation();
  }

  void leave() {
    if (size_ % 2 || width_ % 2) return conv(3, 1, true, 20);
    const std::string start = at_;
    const int64_t width = channels_;
    switch (random_.below(4)) {
      case 0:  // into the next stage, its shortcut a convolution
      case 1: {
        const int64_t wide = 17 + static_cast<int64_t>(random_.below(8));
        conv(3, 2, true, wide);
        conv(3, 1, false, wide);
        const std::string left = at_;
        at_ = start;
        channels_ = width;
        if (random_.below(2) == 0) {
          size_ *= 2;
          width_ *= 2;
          conv(1, 2, false, wide);
        } else {
          sample(width, wide);
        }
        return node(name("sum"), fmt::format("Add(%{}, %{})", left, at_));
      }
      case 2:
        node(name("pool"), fmt::format("MaxPool(%{}) {{kernel_shape = [2, 2], "
                                       "strides = [2, 2]}}",
                                       at_));
        return conv(3, 1, true, 20);
      default:
        return conv(pick({1, 3, 5}), 2, true);
    }
  }

  // Every second pixel from the first or second, and channels of zeros.
  void sample(int64_t width, int64_t wide) {
    const int64_t row = static_cast<int64_t>(random_.below(2));
    const int64_t before = (wide - width) / 2;
    const std::string id = name("s");
    text_ += fmt::format(
        "  init %{0}_start = int64[2] {{{1}, 0}}\n"
        "  init %{0}_end = int64[2] {{999, 999}}\n"
        "  init %{0}_axes = int64[2] {{2, 3}}\n"
        "  init %{0}_steps = int64[2] {{2, 2}}\n"
        "  init %{0}_pads = int64[8] {{0, {2}, 0, 0, 0, {3}, 0, 0}}\n",
        id, row, before, wide - width - before);
    node(id, fmt::format("Slice(%{0}, %{1}_start, %{1}_end, %{1}_axes, "
                         "%{1}_steps)",
                         at_, id));
    node(id + "_padded", fmt::format("Pad(%{0}, %{0}_pads)", id));
    channels_ = wide;
  }

  Random random_;
  std::string text_, at_, clip_;
  int64_t size_ = 0, width_ = 0, channels_ = 0, images_ = 1;
  int names_ = 0;
  bool dynamic_ = false;
};

}  // namespace lathe::quantize::test
