#include "calibration/data/procedural.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

using namespace lathe;
using namespace lathe::data;

namespace {

constexpr size_t kPixels = 3 * kProceduralSize * kProceduralSize;

// Multinomial logistic regression by stochastic gradient descent; the share of
// `test` images it gets right.
double linear_accuracy(int64_t train, int64_t test, int epochs) {
  std::vector<ProceduralImage> images;
  for (int64_t i = 0; i < train + test; ++i)
    images.push_back(render_procedural(7, i));
  constexpr size_t kClasses = kProceduralClasses;
  std::vector<float> weights(kClasses * kPixels), bias(kClasses);
  auto scores = [&](const ProceduralImage& image) {
    std::vector<float> out(bias);
    for (size_t c = 0; c < kClasses; ++c)
      for (size_t p = 0; p < kPixels; ++p)
        out[c] += weights[c * kPixels + p] * image.pixels[p];
    return out;
  };
  for (int epoch = 0; epoch < epochs; ++epoch) {
    for (int64_t i = 0; i < train; ++i) {
      const ProceduralImage& image = images[static_cast<size_t>(i)];
      std::vector<float> s = scores(image);
      float top = *std::max_element(s.begin(), s.end()), sum = 0;
      for (float& v : s) sum += v = std::exp(v - top);
      for (size_t c = 0; c < kClasses; ++c) {
        float gradient =
            s[c] / sum - (static_cast<int64_t>(c) == image.label ? 1.0f : 0.0f);
        float step = 0.0005f * gradient;
        bias[c] -= step;
        for (size_t p = 0; p < kPixels; ++p)
          weights[c * kPixels + p] -= step * image.pixels[p];
      }
    }
  }
  int64_t right = 0;
  for (int64_t i = train; i < train + test; ++i) {
    std::vector<float> s = scores(images[static_cast<size_t>(i)]);
    right += std::max_element(s.begin(), s.end()) - s.begin() ==
             images[static_cast<size_t>(i)].label;
  }
  return static_cast<double>(right) / static_cast<double>(test);
}

}  // namespace

TEST_CASE("a procedural image depends on seed and index alone") {
  ProceduralImage a = render_procedural(0, 3), b = render_procedural(0, 3);
  CHECK(a.pixels == b.pixels);
  CHECK(a.pixels.size() == kPixels);
  CHECK(render_procedural(1, 3).pixels != a.pixels);
  CHECK(render_procedural(0, 13).pixels != a.pixels);
  CHECK(render_procedural(0, 13).label == a.label);
}

TEST_CASE("procedural pixels stay in range and classes are distinct") {
  std::set<std::string> names(procedural_class_names().begin(),
                              procedural_class_names().end());
  CHECK(names.size() == kProceduralClasses);
  for (int64_t i = 0; i < 50; ++i) {
    ProceduralImage image = render_procedural(5, i);
    CHECK(image.label == i % kProceduralClasses);
    auto [low, high] =
        std::minmax_element(image.pixels.begin(), image.pixels.end());
    CHECK(*low >= -2.0f);
    CHECK(*high <= 2.0f);
    CHECK(*high - *low > 0.2f);  // something is drawn
  }
}

TEST_CASE("a linear classifier stays far below 90% on procedural images") {
  double accuracy = linear_accuracy(/*train=*/2000, /*test=*/500, 8);
  MESSAGE("linear classifier on procedural images: " << accuracy);
  CHECK(accuracy > 0.1);  // it did learn something
  CHECK(accuracy < 0.7);
}

TEST_CASE("procedural batches carry input name, shape and labels") {
  auto source = make_procedural_images(25, 0, 2);
  CHECK(source->size() == 25);
  CHECK(source->has_labels());
  CHECK_FALSE(source->is_synthetic());
  ReadOptions options;
  options.batch_size = 10;
  auto reader = source->read(options);
  auto batch = reader->next();
  REQUIRE(batch);
  REQUIRE(batch->find("image"));
  CHECK(batch->find("image")->dims() == std::vector<int64_t>{10, 3, 32, 32});
  CHECK(batch->labels == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  std::vector<float> second = batch->find("image")->to_floats();
  second.erase(second.begin(), second.begin() + kPixels);
  second.resize(kPixels);
  CHECK(second == render_procedural(0, 1).pixels);
  REQUIRE(reader->next());
  auto last = reader->next();
  REQUIRE(last);
  CHECK(last->samples == 5);
  CHECK_FALSE(reader->next());
}
