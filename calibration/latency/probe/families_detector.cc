#include <algorithm>
#include <cmath>

#include "calibration/latency/probe/families.h"

namespace lathe::latency {
namespace {

// An image's positions as rows of `columns`: [1, C, H, W] -> [1, n, columns].
ir::Value* as_rows(NetworkBuilder& b, ir::Value* x, int64_t columns) {
  const Dims d = NetworkBuilder::dims_of(x);
  const int64_t rows = d[1] * d[2] * d[3] / columns;
  if (b.chance(0.75))
    return b.reshape(b.transpose(x, {0, 2, 3, 1}), {1, rows, columns});
  // Positions last until the rows are complete, as in YOLO.
  ir::Value* y = b.reshape(x, {1, d[1] / columns, columns, d[2] * d[3]});
  return b.reshape(b.transpose(y, {0, 1, 3, 2}), {1, rows, columns});
}

// Centres and sizes from anchors and offsets: short runs of two.
ir::Value* decode_boxes(NetworkBuilder& b, ir::Value* boxes) {
  const int64_t rows = b.dim(boxes, 1);
  ir::Value *centre, *size;
  if (b.chance(0.5)) {
    centre = b.slice(boxes, 2, 0, 2);
    size = b.slice(boxes, 2, 2, 4);
  } else {
    std::vector<ir::Value*> parts = b.split(boxes, 2, {2, 2});
    centre = parts[0];
    size = parts[1];
  }
  ir::Value* anchors = b.filled({1, rows, 2}, 0.1f, 0.9f);
  centre = b.add(b.mul(b.mul(centre, b.constant(0.1f)), anchors), anchors);
  size = b.mul(b.unary("Exp", b.mul(size, b.constant(0.2f))), anchors);
  ir::Value* half = b.mul(size, b.constant(0.5f));
  return b.concat({b.binary("Sub", centre, half), b.add(centre, half)}, 2);
}

}  // namespace

void add_detector(NetworkBuilder& b) {
  const double macs = b.draw_macs(2e6, 3e8);
  const int64_t size = b.pick<int64_t>({96, 128, 160, 224, 320});
  const char* act = b.pick<const char*>({"relu", "relu", "clip", "swish"});
  const int64_t classes = b.pick<int64_t>({2, 2, b.between(3, 91)});
  const int64_t scales = b.between(2, 4);
  ir::Value* x = b.input({1, 3, b.chance(0.5) ? size : size * 3 / 4, size});
  double pixels = area(x) / 4;
  const double share = macs / static_cast<double>(scales + 1);
  x = b.activate(
      b.conv(x, b.width(4, std::clamp(share / 27 / pixels, 8., 32.)), 3, 2),
      act);
  std::vector<ir::Value*> scores, boxes;
  for (int64_t scale = 0; scale < scales && b.dim(x, 2) > 4; ++scale) {
    pixels = area(x) / 4;
    const double end = b.macs() + share;
    const bool separable = b.chance(0.6);
    for (int block = 0; block < 4 && (block == 0 || b.macs() < end * 0.8);
         ++block) {
      const int64_t stride = block == 0 ? 2 : 1;
      const int64_t width =
          width_within(b, share / 3, (separable ? 1 : 9) * pixels, 256);
      if (separable)
        x = b.conv(b.activate(b.depthwise(x, 3, stride), act), width, 1);
      else
        x = b.conv(x, width, 3, stride);
      x = b.activate(x, act);
    }
    const int64_t anchors = b.between(2, 3);
    const int64_t kernel = b.pick<int64_t>({1, 3});
    scores.push_back(as_rows(b, b.conv(x, anchors * classes, kernel), classes));
    boxes.push_back(as_rows(b, b.conv(x, anchors * 4, kernel), 4));
  }
  ir::Value* score = scores.size() > 1 ? b.concat(scores, 1) : scores[0];
  ir::Value* box = boxes.size() > 1 ? b.concat(boxes, 1) : boxes[0];
  b.output(b.chance(0.7) ? b.softmax(score) : b.activate(score, "sigmoid"));
  b.output(b.chance(0.8) ? decode_boxes(b, box) : box);
}

}  // namespace lathe::latency
